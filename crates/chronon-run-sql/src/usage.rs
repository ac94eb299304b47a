//! A GroupBy where it is used: the rows of its sources, and its derivations.

use chronon_run_conf::{DataModel, Derivation, GroupBy, Source};

use super::{
    derive,
    script::Script,
    source::{self, Reach, Span},
    text::{ident, indent},
};

/// For which rows values are computed.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Every key, at the end of every day.
    DayEnds,
    /// The distinct keys and times of the left rows: a view of the keys, `ts` and the partition.
    Instants,
}

/// Where a GroupBy's values are used.
pub(super) struct Use<'a> {
    pub(super) conf: &'a GroupBy,
    /// Put before every view name.
    pub(super) prefix: String,
    pub(super) span: Span,
    pub(super) target: Target,
    /// `(key, left column, left view)`: only keys that the left has are computed.
    pub(super) left_keys: Vec<(String, String)>,
    pub(super) left: Option<String>,
    /// The condition of rows whose keys are not skewed.
    pub(super) skew: Option<String>,
}

/// A finished view.
pub(super) struct Values {
    pub(super) view: String,
    /// Keys, `ts` for instants, values, partition.
    pub(super) columns: Vec<String>,
    /// Only the values.
    pub(super) values: Vec<String>,
}

/// Declares the view of a GroupBy's source rows and returns its name.
///
/// # Errors
/// The field and why it cannot be read.
pub(super) fn source_rows(
    usage: &Use<'_>,
    script: &mut Script<'_>,
) -> Result<String, (String, String)> {
    rows(usage, script).map(|(view, _)| view)
}

/// The view of the source rows, and its columns.
pub(super) fn rows(
    usage: &Use<'_>,
    script: &mut Script<'_>,
) -> Result<(String, Vec<String>), (String, String)> {
    let conf = usage.conf;
    let reach = match conf.data_model() {
        DataModel::Entities => Reach::Span,
        DataModel::Events if is_unaggregated(conf) => Reach::Span,
        DataModel::Events => Reach::Back(conf.max_window_days().map(|days| days + 1)),
    };
    let rows = if mutated(usage) {
        source::mutated_rows(conf, usage.span, script.tables(), script.ds)?
    } else {
        source::rows(conf, usage.span, reach, script.tables(), script.ds)?
    };
    for key in &conf.key_columns {
        if !rows.columns.contains(key) {
            return Err((
                "keyColumns".into(),
                format!("`{key}` is not among the selects"),
            ));
        }
    }
    let view = format!("{}_rows", usage.prefix);
    let title = format!("GroupBy {}: sources", conf.meta_data.name);
    script.query(
        &view,
        &title,
        &format!(
            "SELECT * FROM (\n  {}\n)\nWHERE {}",
            indent(&rows.sql, 2),
            key_filter(usage)
        ),
    );
    Ok((view, rows.columns))
}

/// Whether values are those of entities that change within the day.
pub(super) fn mutated(usage: &Use<'_>) -> bool {
    let entities = usage.conf.data_model() == DataModel::Entities;
    entities && matches!(usage.target, Target::Instants)
}

/// Whether a part is computed for the keys of the left rows only. The engine adds that filter to
/// the `wheres` of each source, but not to those of a join source (`JoinUtils.injectKeyFilter`), so
/// the part table of a chained GroupBy has every key of the parent.
pub(super) fn takes_key_filter(conf: &GroupBy) -> bool {
    let is_join = |source: &Source| matches!(source, Source::JoinSource(_));
    !conf.sources.iter().any(is_join)
}

pub(super) fn is_unaggregated(conf: &GroupBy) -> bool {
    conf.aggregations.as_ref().is_none_or(Vec::is_empty)
}

/// Applies the GroupBy's derivations.
pub(super) fn derived(usage: &Use<'_>, base: Values, script: &mut Script<'_>) -> Values {
    let derivations: &[Derivation] = usage.conf.derivations.as_deref().unwrap_or_default();
    if derivations.is_empty() {
        return base;
    }
    let mut head = usage.conf.key_columns.clone();
    if matches!(usage.target, Target::Instants) {
        head.push("ts".into());
    }
    // `*` means keys too, and leaves them where they are; without it they come first.
    let all: Vec<String> = base
        .columns
        .iter()
        .filter(|c| **c != script.ds)
        .cloned()
        .collect();
    let mut kept = derive::columns(&all, derivations);
    let missing = head
        .iter()
        .filter(|name| all.contains(name) && !kept.iter().any(|(kept, _)| kept == *name));
    let missing: Vec<_> = missing.map(|name| (name.clone(), name.clone())).collect();
    kept.splice(0..0, missing);
    let names: Vec<String> = kept.iter().map(|(name, _)| name.clone()).collect();
    let values = names
        .iter()
        .filter(|name| !head.contains(name) && *name != "ts");
    let values: Vec<String> = values.cloned().collect();
    let view = format!("{}_derived", usage.prefix);
    let lines: Vec<String> = kept
        .iter()
        .map(|(name, expression)| derive::line(name, expression))
        .chain([ident(script.ds)])
        .collect();
    let title = format!("GroupBy {}: derivations", usage.conf.meta_data.name);
    let sql = format!(
        "SELECT\n  {}\nFROM {}",
        lines.join(",\n  "),
        ident(&base.view)
    );
    script.query(&view, &title, &sql);
    let columns = names.into_iter().chain([script.ds.to_owned()]).collect();
    Values {
        view,
        columns,
        values,
    }
}

/// Rows whose keys are all NULL belong to no key; in a join only the left's keys matter.
fn key_filter(usage: &Use<'_>) -> String {
    let of_keys = match usage.left.as_ref().filter(|_| takes_key_filter(usage.conf)) {
        Some(left) => {
            let conditions: Vec<String> = usage
                .left_keys
                .iter()
                .map(|(key, column)| {
                    format!(
                        "{} IN (SELECT {} FROM {})",
                        ident(key),
                        ident(column),
                        ident(left)
                    )
                })
                .collect();
            conditions.join("\n  AND ")
        }
        None => {
            let keys = usage.conf.key_columns.iter();
            let present: Vec<String> = keys
                .map(|key| format!("{} IS NOT NULL", ident(key)))
                .collect();
            match present.is_empty() {
                true => "true".into(),
                false => format!("({})", present.join(" OR ")),
            }
        }
    };
    match &usage.skew {
        Some(skew) => format!("{of_keys}\n  AND ({skew})  -- skewKeys"),
        None => of_keys,
    }
}
