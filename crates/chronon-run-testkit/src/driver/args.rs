//! The Driver's command line, as strict as scallop is (§2.2).

use std::collections::BTreeMap;

use chronon_run_core::Ds;

/// The subcommands of §2.1.
const SUBCOMMANDS: [&str; 17] = [
    "join",
    "join-left",
    "join-final",
    "group-by-backfill",
    "group-by-upload",
    "staging-query-backfill",
    "label-join",
    "analyze",
    "stats-summary",
    "log-summary",
    "log-flattener",
    "consistency-metrics-compute",
    "compare-join-query",
    "metadata-export",
    "model-transform-batch",
    "group-by-streaming",
    "metadata-upload",
];
/// Options without a value.
const FLAGS: [&str; 12] = [
    "run-first-hole",
    "use-cached-left",
    "unset-semantic-hash",
    "use-delta-catalog",
    "disable-kryo-serializer",
    "enable-auto-expand",
    "enable-hitter",
    "skip-timestamp-check",
    "skip-table-permission-check",
    "export-schema",
    "force-backfill",
    "debug",
];
/// Options with one value.
const VALUES: [&str; 21] = [
    "conf-path",
    "end-date",
    "start-date",
    "step-days",
    "start-partition-override",
    "log-table",
    "schema-table",
    "sample",
    "count",
    "query-conf",
    "online-jar",
    "online-class",
    "input-root-path",
    "output-root-path",
    "output-table-name",
    "expected-result-table",
    "local-data-path",
    "local-warehouse-location",
    "kafka-bootstrap",
    "end-point-name",
    "batch-size",
];

/// A parsed command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DriverArgs {
    /// What to do.
    pub subcommand: String,
    /// `--conf-path`, relative to the working directory.
    pub conf_path: String,
    /// `--end-date`, inclusive.
    pub end_date: Ds,
    /// `--start-partition-override`, inclusive.
    pub start: Option<Ds>,
    /// `--run-first-hole`.
    pub run_first_hole: bool,
    /// `--step-days`.
    pub step_days: u32,
    /// `--selected-join-parts`.
    pub selected_parts: Vec<String>,
    /// `--use-cached-left`.
    pub use_cached_left: bool,
    /// Every option with one value.
    pub values: BTreeMap<String, String>,
}

/// Why the Driver stops before it starts; exit 1, or 0 for help (§5.7).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArgsError {
    /// `--help`.
    #[error("usage")]
    Help,
    /// Anything that scallop refuses.
    #[error("[scallop] Error: {0}")]
    Refused(String),
}

fn refused<T>(message: impl Into<String>) -> Result<T, ArgsError> {
    Err(ArgsError::Refused(message.into()))
}

impl DriverArgs {
    /// Parses what follows the jar.
    ///
    /// # Errors
    /// [`ArgsError`] for everything that the Driver itself does not accept.
    pub fn parse(argv: &[String]) -> Result<Self, ArgsError> {
        let Some((subcommand, rest)) = argv.split_first() else {
            return refused("no subcommand");
        };
        if argv.iter().any(|argument| argument == "--help") {
            return Err(ArgsError::Help);
        }
        if !SUBCOMMANDS.contains(&subcommand.as_str()) {
            return refused(format!("Unknown option '{subcommand}'"));
        }
        let raw = Raw::parse(rest)?;
        let needed = |name: &str| match raw.values.get(name) {
            Some(value) => Ok(value.clone()),
            None => refused(format!("Required option '{name}' not found")),
        };
        let day = |name: &str| match raw.values.get(name).map(|text| text.parse()) {
            None => Ok(None),
            Some(Ok(day)) => Ok(Some(day)),
            Some(Err(_)) => refused(format!("Bad arguments for option '{name}'")),
        };
        let step_days = match raw.values.get("step-days").map(|text| text.parse()) {
            None => 30,
            Some(Ok(days)) if days > 0 => days,
            Some(_) => return refused("Bad arguments for option 'step-days'"),
        };
        if subcommand == "log-flattener" {
            needed("log-table")?;
            needed("schema-table")?;
        }
        let online = ["group-by-streaming", "metadata-upload"].contains(&subcommand.as_str());
        let end_date = match day("end-date")? {
            Some(day) => day,
            None if online => Ds::from_epoch_days(0),
            None => return refused("the scripted Driver has no clock: pass --end-date"),
        };
        Ok(Self {
            subcommand: subcommand.clone(),
            conf_path: needed("conf-path")?,
            end_date,
            start: day("start-partition-override")?,
            run_first_hole: raw.has("run-first-hole"),
            step_days,
            use_cached_left: raw.has("use-cached-left"),
            selected_parts: raw.parts,
            values: raw.values,
        })
    }
}

/// Options by name, before they are understood.
#[derive(Default)]
struct Raw {
    values: BTreeMap<String, String>,
    flags: Vec<String>,
    parts: Vec<String>,
}

impl Raw {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    fn parse(argv: &[String]) -> Result<Self, ArgsError> {
        let mut raw = Self::default();
        let mut rest = argv.iter().peekable();
        while let Some(argument) = rest.next() {
            if argument == "-d" {
                raw.flag("debug")?;
                continue;
            }
            if argument.starts_with("-Z") {
                continue;
            }
            let Some(option) = argument.strip_prefix("--") else {
                return refused(format!("Excess arguments provided: '{argument}'"));
            };
            let (name, inline) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (option, None),
            };
            if name == "selected-join-parts" {
                raw.parts.extend(inline);
                while let Some(part) = rest.next_if(|next| !next.starts_with("--")) {
                    raw.parts.push(part.clone());
                }
            } else if FLAGS.contains(&name) && inline.is_none() {
                raw.flag(name)?;
            } else if VALUES.contains(&name) {
                let next = || rest.next_if(|next| !next.starts_with("--")).cloned();
                match inline.or_else(next) {
                    Some(value) => raw.value(name, value)?,
                    None => return refused(format!("Bad arguments for option '{name}'")),
                }
            } else {
                return refused(format!("Unknown option '{name}'"));
            }
        }
        Ok(raw)
    }

    fn flag(&mut self, name: &str) -> Result<(), ArgsError> {
        if self.has(name) {
            return refused(format!("Bad arguments for option '{name}'"));
        }
        self.flags.push(name.to_owned());
        Ok(())
    }

    fn value(&mut self, name: &str, value: String) -> Result<(), ArgsError> {
        match self.values.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => refused(format!("Bad arguments for option '{name}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<DriverArgs, ArgsError> {
        DriverArgs::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn reads_what_run_py_writes() {
        let args = parse(
            "join --conf-path=p/j --end-date=2026-01-30 --selected-join-parts=a b --use-cached-left \
             --start-partition-override=2026-01-10 --step-days 5",
        )
        .unwrap();
        assert_eq!(args.selected_parts, ["a", "b"]);
        assert_eq!(args.step_days, 5);
        assert!(args.use_cached_left && !args.run_first_hole);
    }

    #[test]
    fn refuses_what_scallop_refuses() {
        for bad in [
            "join --end-date=2026-01-30",
            "join --conf-path=p --end-date=2026-01-30 --run-first-hole true",
            "join --conf-path=p --end-date=2026-01-30 --step-days 0",
            "join --conf-path=p --end-date=2026-01-30 --step-days x",
            "join --conf-path=p --end-date=2026-01-30 --step-days 1 --step-days 2",
            "join --conf-path=p --end-date=2026-01-30 --nonsense",
            "nonsense --conf-path=p",
            "log-flattener --conf-path=p --end-date=2026-01-30",
        ] {
            assert!(matches!(parse(bad), Err(ArgsError::Refused(_))), "{bad}");
        }
        assert_eq!(parse("join --help"), Err(ArgsError::Help));
    }
}
