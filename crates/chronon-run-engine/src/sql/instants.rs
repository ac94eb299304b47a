//! Point-in-time values: every left row at its own millisecond.
//!
//! A window covers some days wholly and cuts one or two others. Whole days come from frames over
//! the merged days. Of cut days come the rows merged per hop of five minutes, which no window
//! cuts, joined by key and day; only the rows of the instant's own hop are compared one by one,
//! joined by key and hop. So the work of a key that has very many rows is shared by its hops.

use std::collections::BTreeSet;

use chronon_run_conf::Window;

use super::{
    aggregate::{Feature, PIECE, Partial},
    pipeline::{DAY, Group, Pipeline, aliased, cells},
    script::{Script, ident, list},
    source::{MUTATION_DAY, MUTATION_TS},
};

const HOUR: i64 = 3_600_000;
/// The engine's smallest hop in milliseconds: every window begins at a multiple of it.
const HOP: i64 = 300_000;

/// The first instant of a key and day that is after a mutation.
const SEEN: &str = "e.__seen_at";

/// How a window of the point-in-time rule lies on the days before the instant's own day.
struct Lie {
    /// Days before the instant's day that are wholly inside, as a frame.
    frame: Option<String>,
    /// Days that are cut, counted back from the instant's day, which is 0.
    edges: Vec<i64>,
    /// The inclusive lower limit of event times, from `q.ts`.
    lower: Option<String>,
    /// The hop to which the lower limit is rounded down, in milliseconds.
    hop: i64,
}

/// The engine's window rule: `floor(floor(t, 5 min) − W, hop)`.
fn lie(window: Option<Window>) -> Lie {
    let Some(window) = window else {
        return Lie {
            frame: Some("RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING".into()),
            edges: vec![0],
            lower: None,
            hop: HOP,
        };
    };
    let width = window.millis();
    let whole = width.div_euclid(DAY);
    let even = width % DAY == 0;
    let hop = match width {
        width if width < 12 * HOUR => HOP,
        width if width < 12 * DAY => HOUR,
        _ => DAY,
    };
    if hop == DAY && even {
        return Lie {
            frame: Some(format!("RANGE BETWEEN {whole} PRECEDING AND 1 PRECEDING")),
            edges: vec![0],
            lower: Some(format!("q.ts - PMOD(q.ts, {DAY}) - {width}")),
            hop,
        };
    }
    let lower = if width % hop == 0 {
        format!("q.ts - PMOD(q.ts, {hop}) - {width}")
    } else {
        let moved = format!("(q.ts - PMOD(q.ts, {HOP}) - {width})");
        format!("{moved} - PMOD({moved}, {hop})")
    };
    let frame =
        (whole >= 2).then(|| format!("RANGE BETWEEN {} PRECEDING AND 1 PRECEDING", whole - 1));
    let mut edges = vec![0];
    edges.extend((whole > 0).then_some(whole));
    edges.extend((!even).then_some(whole + 1));
    Lie {
        frame,
        edges,
        lower: Some(lower),
        hop,
    }
}

/// Which rows of a snapshot an instant of the next day sees: those before the end of the
/// snapshot's day, in windows those above the window that ends there, as far as they are still
/// inside at the instant. A row exactly at that window's begin is only seen through the hop of a
/// longer window, if there is one that keeps the row in hops too.
fn in_snapshot(feature: &Feature, group: &Group<'_>) -> String {
    let end = format!("q.ts - PMOD(q.ts, {DAY})");
    let Some(window) = feature.window else {
        return format!("e.ts < {end}");
    };
    let lie = lie(feature.window);
    let width = window.millis();
    let shares_hop = |other: &&Feature| {
        let wider = other
            .window
            .filter(|other| (width + 1..width + 2 * DAY).contains(&other.millis()));
        other.partial == feature.partial && wider.is_some_and(|w| self::lie(Some(w)).hop == lie.hop)
    };
    let above = match group
        .features
        .iter()
        .copied()
        .any(|other| shares_hop(&other))
    {
        true => ">=",
        false => ">",
    };
    let lower = lie.lower.unwrap_or_default();
    format!("e.ts < {end} AND e.ts {above} {end} - {width} AND e.ts >= {lower}")
}

/// Which mutations an instant sees: a window is looked at once, at the first instant after the
/// mutation, as the engine does.
fn in_mutations(window: Option<Window>) -> String {
    match lie(window).lower {
        None => format!("e.ts < {SEEN}"),
        Some(lower) => {
            let lower = lower.replace("q.ts", SEEN);
            format!("e.ts < {SEEN} AND e.ts >= {lower}")
        }
    }
}

/// The select lists of one group: what each kind of piece contributes to each partial result.
#[derive(Default)]
struct Lines {
    /// Names of the partial results, one per window.
    names: Vec<String>,
    /// From a row that is seen one by one.
    from_rows: Vec<String>,
    /// From a hop of a cut day.
    from_hops: Vec<String>,
    /// From the frame over whole days.
    from_days: Vec<String>,
    /// From a mutation.
    from_mutations: Vec<String>,
    /// Merging all pieces.
    merged: Vec<String>,
    /// The days that are cut, counted back.
    edges: BTreeSet<i64>,
}

impl Lines {
    fn of_events(group: &Group<'_>) -> Self {
        let mut lines = Self::default();
        for feature in &group.features {
            let lie = lie(feature.window);
            let names = cells(&feature.partial, feature.window);
            if names.iter().all(|name| lines.names.contains(name)) {
                continue;
            }
            lines.edges.extend(&lie.edges);
            let offsets: Vec<String> = lie.edges.iter().map(i64::to_string).collect();
            let mut inside = format!("q.__back IN ({})", offsets.join(", "));
            if let Some(lower) = &lie.lower {
                inside = format!("{inside} AND h.__hop * {HOP} >= {lower}");
            }
            let hops = feature.partial.columns();
            let hops: Vec<String> = hops
                .iter()
                .map(|column| format!("IF({inside}, h.{}, NULL)", ident(column)))
                .collect();
            lines.from_hops.extend(aliased(&hops, &names));
            // No window is so short that it cuts the instant's own hop.
            lines
                .from_rows
                .extend(aliased(&feature.partial.lift("e."), &names));
            let whole: Vec<String> = names
                .iter()
                .map(|name| match lie.frame {
                    Some(_) => format!("d.{name}"),
                    None => "NULL".to_owned(),
                })
                .collect();
            lines.from_days.extend(aliased(&whole, &names));
            let merged = feature.partial.merge(&names, "");
            lines.merged.extend(aliased(&merged, &names));
            lines.names.extend(names);
        }
        lines
    }

    fn of_mutations(group: &Group<'_>) -> Self {
        let mut lines = Self::default();
        for feature in &group.features {
            let names = cells(&feature.partial, feature.window);
            if names.iter().all(|name| lines.names.contains(name)) {
                continue;
            }
            let lifted = feature.partial.lift_signed("e.");
            let inside = in_snapshot(feature, group);
            lines.from_rows.extend(limited(&lifted, &inside, &names));
            let inside = in_mutations(feature.window);
            lines
                .from_mutations
                .extend(limited(&lifted, &inside, &names));
            let merged = feature.partial.merge_signed(&names);
            lines.merged.extend(aliased(&merged, &names));
            lines.names.extend(names);
        }
        lines
    }

    /// NULL for every partial result.
    fn nothing(&self) -> String {
        let nothing: Vec<String> = self
            .names
            .iter()
            .map(|name| format!("NULL AS {name}"))
            .collect();
        nothing.join(", ")
    }
}

/// What a row contributes where the condition holds.
fn limited(lifted: &[String], inside: &str, names: &[String]) -> Vec<String> {
    let within = lifted
        .iter()
        .map(|cell| format!("IF({inside}, {cell}, NULL)"));
    aliased(&within.collect::<Vec<_>>(), names)
}

impl Pipeline<'_> {
    /// Events, at the left rows' own times: whole days by frames, cut days by hops, and the rows
    /// of the last hop one by one.
    pub(super) fn instants(&self, group: &Group<'_>, view: &str, script: &mut Script<'_>) {
        let hops = self.hops(group, script);
        let days = self.days_of_hops(group, &hops, script);
        let queries = ident(&self.queries());
        let ds = ident(script.ds);
        let framed = self.whole_days(group, &days);
        let lines = Lines::of_events(group);
        let offsets: Vec<String> = lines.edges.iter().map(i64::to_string).collect();
        let piece = |row: &str| match group.split.has_pieces() {
            true => format!(", {row}.{PIECE}"),
            false => String::new(),
        };
        let select = |row: &str, lines: &[String]| {
            format!(
                "SELECT {}, q.ts, q.{ds}{},\n    {}",
                self.query_keys(),
                piece(row),
                lines.join(",\n    ")
            )
        };
        let mut pieces = vec![
            format!(
                "{}\n  FROM edges q\n  JOIN {} h\n    ON {} AND h.__day = CAST(FLOOR(q.ts / {DAY}) AS INT) - q.__back AND h.__hop < FLOOR(q.ts / {HOP})",
                select("h", &lines.from_hops),
                ident(&hops),
                self.same_keys("h"),
            ),
            format!(
                "{}\n  FROM {queries} q\n  JOIN {} e\n    ON {} AND FLOOR(e.ts / {HOP}) = FLOOR(q.ts / {HOP}) AND e.ts < q.ts",
                select("e", &lines.from_rows),
                self.rows(group),
                self.same_keys("e"),
            ),
        ];
        if framed.is_some() {
            pieces.push(format!(
                "{}\n  FROM {queries} q\n  JOIN framed d\n    ON {} AND d.__day = CAST(FLOOR(q.ts / {DAY}) AS INT) AND d.__is_target",
                select("d", &lines.from_days),
                self.same_keys("d"),
            ));
        }
        pieces.extend(self.lonely(group, &lines, &ds));
        let with = framed.map_or_else(|| "WITH ".to_owned(), |framed| format!("{framed},\n"));
        let edges = format!(
            "edges AS (\n  SELECT *, EXPLODE(ARRAY({})) AS __back FROM {queries}\n)",
            offsets.join(", ")
        );
        script.query(
            view,
            "aggregations.windows: whole days by frames, the days that a window cuts by hops, the last hop row by row",
            &format!(
                "{with}{edges},\n{}",
                self.merged(group, &pieces, &lines, &ds)
            ),
        );
    }

    /// Declares the partial results per key and hop.
    fn hops(&self, group: &Group<'_>, script: &mut Script<'_>) -> String {
        let view = format!("{}_hops{}", self.usage.prefix, group.split.suffix());
        let keys = list(&self.keys(group));
        let hop = format!("FLOOR(ts / {HOP})");
        script.query(
            &view,
            "aggregations: merged per key and hop of five minutes of the event time",
            &format!(
                "SELECT {keys}, {hop} AS __hop, CAST(FLOOR({hop} * {HOP} / {DAY}) AS INT) AS __day,\n  {}\nFROM {}\nGROUP BY {keys}, {hop}",
                group.merged(|partial| partial.lift("")).join(",\n  "),
                self.rows(group)
            ),
        );
        view
    }

    /// Declares the partial results per key and day.
    fn days_of_hops(&self, group: &Group<'_>, hops: &str, script: &mut Script<'_>) -> String {
        let view = format!("{}_days{}", self.usage.prefix, group.split.suffix());
        let keys = list(&self.keys(group));
        let stored = |partial: &Partial| partial.columns().iter().map(|c| ident(c)).collect();
        script.query(
            &view,
            "aggregations: merged per key and day of the event time",
            &format!(
                "SELECT {keys}, __day,\n  {}\nFROM {}\nGROUP BY {keys}, __day",
                group.merged(stored).join(",\n  "),
                ident(hops)
            ),
        );
        view
    }

    /// `WITH framed AS (…)` over the windows that have whole days, for every key and day that
    /// is asked for.
    fn whole_days(&self, group: &Group<'_>, days: &str) -> Option<String> {
        let whole: Vec<&Feature> = group
            .features
            .iter()
            .copied()
            .filter(|feature| lie(feature.window).frame.is_some())
            .collect();
        if whole.is_empty() {
            return None;
        }
        let group = Group {
            split: group.split,
            features: whole,
        };
        let keys = list(&self.keys(&group));
        let plain_keys = list(&self.usage.conf.key_columns);
        let queries = ident(&self.queries());
        let day = format!("CAST(FLOOR(ts / {DAY}) AS INT) AS __day");
        let targets = match group.split.has_pieces() {
            false => format!("SELECT DISTINCT {keys}, {day} FROM {queries}"),
            true => format!(
                "SELECT DISTINCT d.*, q.__day FROM (SELECT DISTINCT {keys} FROM {}) d\n  JOIN (SELECT DISTINCT {plain_keys}, {day} FROM {queries}) q ON {}",
                ident(days),
                self.same_keys("d"),
            ),
        };
        let frame = |window| lie(window).frame.unwrap_or_default();
        Some(self.framed(&group, &keys, days, &targets, &frame))
    }

    /// Entities that change within the day: the snapshot of the day before, and the mutations
    /// of the day up to the instant, which add rows and take rows back.
    pub(super) fn mutated(&self, group: &Group<'_>, view: &str, script: &mut Script<'_>) {
        let ds = ident(script.ds);
        let lines = Lines::of_mutations(group);
        let piece = match group.split.has_pieces() {
            true => format!(", e.{PIECE}"),
            false => String::new(),
        };
        let rows = self.rows(group);
        let queries = ident(&self.queries());
        let same_keys = self.same_keys("e");
        let plain_keys = list(&self.usage.conf.key_columns);
        let day = format!("e.{MUTATION_DAY} = CAST(FLOOR(q.ts / {DAY}) AS INT)");
        let seen = format!(
            "seen AS (\n  SELECT e.*, q.ts AS __seen_at\n  FROM (\n    SELECT *, LAG(ts) OVER (PARTITION BY {plain_keys}, FLOOR(ts / {DAY}) ORDER BY ts) AS __before\n    FROM (SELECT DISTINCT {plain_keys}, ts FROM {queries})\n  ) q\n  JOIN {rows} e\n    ON {same_keys} AND {day} AND e.{MUTATION_TS} > 0 AND e.{MUTATION_TS} < q.ts AND COALESCE(q.__before <= e.{MUTATION_TS}, true)\n)"
        );
        let select = |lines: &[String]| {
            format!(
                "SELECT {}, q.ts, q.{ds}{piece},\n    {}\n  FROM {queries} q",
                self.query_keys(),
                lines.join(",\n    ")
            )
        };
        let mut pieces = vec![
            format!(
                "{}\n  JOIN {rows} e\n    ON {same_keys} AND {day} AND e.{MUTATION_TS} = 0",
                select(&lines.from_rows)
            ),
            format!(
                "{}\n  JOIN seen e\n    ON {same_keys} AND {day} AND {SEEN} <= q.ts",
                select(&lines.from_mutations)
            ),
        ];
        pieces.extend(self.lonely(group, &lines, &ds));
        script.query(
            view,
            "aggregations: the snapshot of the day before and the mutations up to the instant",
            &format!("WITH {seen},\n{}", self.merged(group, &pieces, &lines, &ds)),
        );
    }

    /// An instant without any event has a row too; of a split with pieces the caller adds it.
    fn lonely(&self, group: &Group<'_>, lines: &Lines, ds: &str) -> Option<String> {
        (!group.split.has_pieces()).then(|| {
            let keys = list(&self.usage.conf.key_columns);
            let queries = ident(&self.queries());
            format!(
                "SELECT {keys}, ts, {ds}, {}\n  FROM {queries}",
                lines.nothing()
            )
        })
    }

    /// `pieces AS (…), merged AS (…) SELECT …`: all pieces of an instant merged and finished.
    fn merged(&self, group: &Group<'_>, pieces: &[String], lines: &Lines, ds: &str) -> String {
        let keys = list(&self.keys(group));
        format!(
            "pieces AS (\n  {}\n),\nmerged AS (\n  SELECT {keys}, ts, {ds},\n    {}\n  FROM pieces\n  GROUP BY {keys}, ts, {ds}\n)\nSELECT {keys}, ts, {ds},\n  {}\nFROM merged",
            pieces.join("\n  UNION ALL\n  "),
            lines.merged.join(",\n    "),
            Self::finished(group).join(",\n  "),
        )
    }

    /// `q.a, q.b`: the keys of an instant.
    fn query_keys(&self) -> String {
        let keys = self.usage.conf.key_columns.iter();
        let keys: Vec<String> = keys.map(|key| format!("q.{}", ident(key))).collect();
        keys.join(", ")
    }

    /// `q.a = e.a AND …`.
    fn same_keys(&self, right: &str) -> String {
        let keys = self.usage.conf.key_columns.iter();
        let same: Vec<String> = keys
            .map(|key| format!("q.{0} = {right}.{0}", ident(key)))
            .collect();
        same.join(" AND ")
    }
}
