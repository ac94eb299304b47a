//! Point-in-time values: every left row at its own millisecond.
//!
//! All windows of an instant end at the instant, so they are nested: what a longer window has more
//! than the next shorter one is a *ring*. Each piece of data (a row, or a merged day) lies in one
//! ring of an instant. Pieces are merged per instant and ring first, then a window merges its rings,
//! so the number of windows costs nothing per piece.
//!
//! Days that no window cuts are merged before they are joined. In steps of a few days that is one
//! pass: rows of days that some instant's window may cut keep their time, the rest are merged per
//! day. In longer steps a day is cut for some instants and whole for others, so merged days and rows
//! are joined separately, rows by key and day.

use std::collections::BTreeSet;

use chronon_run_conf::Window;

use super::{
    aggregate::{Feature, PIECE, Partial},
    pipeline::{DAY, Group, Pipeline, aliased, cells},
    script::Script,
    source::{MUTATION_DAY, MUTATION_TS},
    text::{ident, list},
};

const HOUR: i64 = 3_600_000;
/// The engine's smallest hop in milliseconds: every window begins at a multiple of it.
const HOP: i64 = 300_000;

/// The first instant of a key and day that is after a mutation.
const SEEN: &str = "e.__seen_at";

/// The most days of a step whose instants take their pieces from one pass over the rows.
const FEW_DAYS: usize = 7;

/// The column of the number of a ring.
const RING: &str = "__ring";

/// The time of a piece: that of a row, or the begin of a merged day.
const AT: &str = "__at";

/// How a window of the point-in-time rule lies on the days before the instant's own day.
struct WindowSplit {
    /// Whether there are days before the instant's day that no window of this length cuts.
    whole_days: bool,
    /// Days that are cut, counted back from the instant's day, which is 0.
    edges: Vec<i64>,
    /// The inclusive lower limit of event times, from `q.ts`.
    lower: Option<String>,
    /// The hop to which the lower limit is rounded down, in milliseconds.
    hop: i64,
}

/// The engine's window rule: `floor(floor(t, 5 min) − W, hop)`.
fn split_window(window: Option<Window>) -> WindowSplit {
    let Some(window) = window else {
        return WindowSplit {
            whole_days: true,
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
        return WindowSplit {
            whole_days: true,
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
    let mut edges = vec![0];
    edges.extend((whole > 0).then_some(whole));
    edges.extend((!even).then_some(whole + 1));
    WindowSplit {
        whole_days: whole >= 2,
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
    let split = split_window(feature.window);
    let width = window.millis();
    let shares_hop = |other: &&Feature| {
        let wider = other
            .window
            .filter(|other| (width + 1..width + 2 * DAY).contains(&other.millis()));
        other.partial == feature.partial
            && wider.is_some_and(|w| split_window(Some(w)).hop == split.hop)
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
    let lower = split.lower.unwrap_or_default();
    format!("e.ts < {end} AND e.ts {above} {end} - {width} AND e.ts >= {lower}")
}

/// Which mutations an instant sees: a window is looked at once, at the first instant after the
/// mutation, as the engine does.
fn in_mutations(window: Option<Window>) -> String {
    match split_window(window).lower {
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
    /// From a mutation.
    from_mutations: Vec<String>,
    /// Merging all pieces.
    merged: Vec<String>,
}

impl Lines {
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

/// The nested windows of a group, shortest first.
struct Rings {
    windows: Vec<Option<Window>>,
}

impl Rings {
    fn of(group: &Group<'_>) -> Self {
        let mut windows: Vec<Option<Window>> = Vec::new();
        for feature in &group.features {
            let width = |window: Option<Window>| window.map(Window::millis);
            let known = |other: &Option<Window>| width(*other) == width(feature.window);
            if !windows.iter().any(known) {
                windows.push(feature.window);
            }
        }
        windows.sort_by_key(|window| window.map_or(i64::MAX, Window::millis));
        Self { windows }
    }

    /// The ring of the window's own begin.
    fn place(&self, window: Option<Window>) -> usize {
        let width = window.map(Window::millis);
        let mut rings = self.windows.iter();
        let found = rings.position(|other| other.map(Window::millis) == width);
        found.unwrap_or_default()
    }

    /// The number of the ring in which a time lies, if there are several.
    fn ring_of(&self, at: &str) -> Option<String> {
        let (_, shorter) = self.windows.split_last()?;
        if shorter.is_empty() {
            return None;
        }
        let lowers = shorter
            .iter()
            .filter_map(|window| split_window(*window).lower);
        let cases: Vec<String> = lowers
            .enumerate()
            .map(|(ring, lower)| format!("WHEN {at} >= {lower} THEN {ring}"))
            .collect();
        let rest = shorter.len();
        Some(format!("CASE {} ELSE {rest} END", cases.join(" ")))
    }

    /// The condition that a time is in the longest window.
    fn inside(&self, at: &str) -> String {
        let lower = self
            .windows
            .last()
            .and_then(|window| split_window(*window).lower);
        lower.map_or_else(String::new, |lower| format!(" AND {at} >= {lower}"))
    }

    /// The days that some window cuts, counted back from the instant's day.
    fn edges(&self) -> BTreeSet<i64> {
        let windows = self.windows.iter();
        windows
            .flat_map(|window| split_window(*window).edges)
            .collect()
    }

    fn have_whole_days(&self) -> bool {
        self.windows
            .iter()
            .any(|window| split_window(*window).whole_days)
    }
}

/// What is joined with the instants: a relation under the name `e`, the time of its rows, and
/// their partial results.
struct Joined {
    from: String,
    at: String,
    cells: fn(&Partial) -> Vec<String>,
}

/// The partial results of a row.
fn of_row(partial: &Partial) -> Vec<String> {
    partial.lift("e.")
}

/// The partial results of what was merged before.
fn of_merged(partial: &Partial) -> Vec<String> {
    let columns = partial.columns().into_iter();
    columns
        .map(|column| format!("e.{}", ident(&column)))
        .collect()
}

impl Pipeline<'_> {
    /// Events, at the left rows' own times.
    pub(super) fn instants(&self, group: &Group<'_>, view: &str, script: &mut Script<'_>) {
        let rings = Rings::of(group);
        let ds = ident(script.ds);
        let (title, ringed) = if script.days() > FEW_DAYS {
            let days = rings.have_whole_days().then(|| self.days(group, script));
            (
                "aggregations.windows: merged days by key, rows of days that a window cuts by key and day",
                self.two_passes(group, &rings, days.as_deref(), &ds),
            )
        } else if rings.have_whole_days() {
            let pieces = Joined {
                from: ident(&self.pieces(group, &rings, script)),
                at: format!("e.{AT}"),
                cells: of_merged,
            };
            (
                "aggregations.windows: merged days, and rows of days that a window cuts",
                self.one_pass(group, &rings, &pieces, &ds),
            )
        } else {
            let rows = Joined {
                from: self.rows(group),
                at: "e.ts".to_owned(),
                cells: of_row,
            };
            (
                "aggregations.windows: the rows before each instant",
                self.one_pass(group, &rings, &rows, &ds),
            )
        };
        let sql = format!("WITH {ringed},\n{}", self.windows(group, &rings, &ds));
        script.query(view, title, &sql);
    }

    /// Declares the rows of days that a window of some instant cuts, and all other days merged.
    fn pieces(&self, group: &Group<'_>, rings: &Rings, script: &mut Script<'_>) -> String {
        let view = format!("{}_pieces{}", self.usage.prefix, group.split.suffix());
        let keys = list(&self.keys(group));
        let number = |day: String| format!("UNIX_DATE(CAST({day} AS DATE))");
        let first = number(self.usage.span.first(0));
        let last = number(self.usage.span.last(0));
        let day = format!("FLOOR(ts / {DAY})");
        let cut = rings.edges().into_iter().map(|back| match back {
            // The rows end before the instants do.
            0 => format!("{day} >= {first}"),
            _ => format!("{day} BETWEEN {first} - {back} AND {last} - {back}"),
        });
        let cut: Vec<String> = cut.collect();
        let at = format!("IF({}, ts, {day} * {DAY}L) AS {AT}", cut.join(" OR "));
        script.query(
            &view,
            "aggregations: merged per key and day of the event time, but days that a window may cut keep their times",
            &format!(
                "SELECT {keys}, {AT},\n  {}\nFROM (\n  SELECT *, {at}\n  FROM {}\n)\nGROUP BY {keys}, {AT}",
                group.merged(|partial| partial.lift("")).join(",\n  "),
                self.rows(group)
            ),
        );
        view
    }

    /// `ringed AS (…)`: the partial results of each instant and ring, from one relation.
    fn one_pass(&self, group: &Group<'_>, rings: &Rings, joined: &Joined, ds: &str) -> String {
        let Joined { from, at, cells } = joined;
        let queries = ident(&self.queries());
        // An instant without any event has a row too; of a split with pieces the caller adds it.
        let (join, piece) = match group.split.has_pieces() {
            true => ("JOIN", format!(", e.{PIECE}")),
            false => ("LEFT JOIN", String::new()),
        };
        let ring = rings.ring_of(at);
        let named = ring.as_ref().map(|ring| format!(", {ring} AS {RING}"));
        let grouped = ring.map(|ring| format!(", {ring}")).unwrap_or_default();
        format!(
            "ringed AS (\n  SELECT {keys}, q.ts, q.{ds}{piece}{named},\n    {lines}\n  FROM {queries} q\n  {join} {from} e\n    ON {same} AND {at} < q.ts{inside}\n  GROUP BY {keys}, q.ts, q.{ds}{piece}{grouped}\n)",
            keys = self.query_keys(),
            named = named.unwrap_or_default(),
            lines = group.merged(cells).join(",\n    "),
            same = self.same_keys("e"),
            inside = rings.inside(at),
        )
    }

    /// The same from merged days, and from the rows of the days that a window cuts.
    fn two_passes(&self, group: &Group<'_>, rings: &Rings, days: Option<&str>, ds: &str) -> String {
        let queries = ident(&self.queries());
        let today = format!("CAST(FLOOR(q.ts / {DAY}) AS INT)");
        let edges: Vec<String> = rings.edges().iter().map(i64::to_string).collect();
        let edges = edges.join(", ");
        let select = |at: &str, cells: fn(&Partial) -> Vec<String>| {
            let piece = match group.split.has_pieces() {
                true => format!(", e.{PIECE}"),
                false => String::new(),
            };
            let ring = rings.ring_of(at);
            let ring = ring.map(|ring| format!(", {ring} AS {RING}"));
            let partials = group.partials().into_iter();
            let lines = partials.flat_map(|partial| {
                let names = partial.columns().into_iter();
                let names: Vec<String> = names.map(|name| ident(&name)).collect();
                aliased(&cells(partial), &names)
            });
            format!(
                "SELECT {}, q.ts, q.{ds}{piece}{},\n    {}",
                self.query_keys(),
                ring.unwrap_or_default(),
                lines.collect::<Vec<_>>().join(",\n    ")
            )
        };
        let same = self.same_keys("e");
        let begin = format!("e.__day * {DAY}L");
        let of_days = days.map(|days| {
            format!(
                "{}\n  FROM {queries} q\n  JOIN {} e\n    ON {same} AND e.__day < {today} AND {today} - e.__day NOT IN ({edges}){}",
                select(&begin, of_merged),
                ident(days),
                rings.inside(&begin),
            )
        });
        let of_rows = format!(
            "{}\n  FROM edges q\n  JOIN {} e\n    ON {same} AND CAST(FLOOR(e.ts / {DAY}) AS INT) = {today} - q.__back AND e.ts < q.ts{}",
            select("e.ts", of_row),
            self.rows(group),
            rings.inside("e.ts"),
        );
        let mut pieces: Vec<String> = of_days.into_iter().chain([of_rows]).collect();
        pieces.extend(self.without_events(group, rings, ds));
        let identity = self.ringed_identity(group, rings, ds);
        let stored = |partial: &Partial| partial.columns().iter().map(|c| ident(c)).collect();
        format!(
            "edges AS (\n  SELECT *, EXPLODE(ARRAY({edges})) AS __back FROM {queries}\n),\npieces AS (\n  {}\n),\nringed AS (\n  SELECT {identity},\n    {}\n  FROM pieces\n  GROUP BY {identity}\n)",
            pieces.join("\n  UNION ALL\n  "),
            group.merged(stored).join(",\n    "),
        )
    }

    /// An instant without any event has a row too; of a split with pieces the caller adds it.
    fn without_events(&self, group: &Group<'_>, rings: &Rings, ds: &str) -> Option<String> {
        if group.split.has_pieces() {
            return None;
        }
        let keys = list(&self.usage.conf.key_columns);
        let ring = rings.ring_of("ts").map(|_| format!(", 0 AS {RING}"));
        let partials = group.partials().into_iter();
        let nothing = partials.flat_map(Partial::columns);
        let nothing = nothing.map(|name| format!("NULL AS {}", ident(&name)));
        Some(format!(
            "SELECT {keys}, ts, {ds}{}, {}\n  FROM {}",
            ring.unwrap_or_default(),
            nothing.collect::<Vec<_>>().join(", "),
            ident(&self.queries())
        ))
    }

    /// The columns that identify a row of `ringed`.
    fn ringed_identity(&self, group: &Group<'_>, rings: &Rings, ds: &str) -> String {
        let ring = match rings.ring_of("ts") {
            Some(_) => format!(", {RING}"),
            None => String::new(),
        };
        format!("{}, ts, {ds}{ring}", list(&self.keys(group)))
    }

    /// `merged AS (…) SELECT …`: every window merges its rings.
    fn windows(&self, group: &Group<'_>, rings: &Rings, ds: &str) -> String {
        let keys = list(&self.keys(group));
        let last = rings.windows.len().saturating_sub(1);
        let mut merged: Vec<String> = Vec::new();
        for feature in &group.features {
            let names = cells(&feature.partial, feature.window);
            let place = rings.place(feature.window);
            let columns = feature.partial.columns().into_iter();
            let inside = columns.map(|column| match place == last {
                true => ident(&column),
                false => format!("IF({RING} <= {place}, {}, NULL)", ident(&column)),
            });
            let inside: Vec<String> = inside.collect();
            let lines = match last {
                0 => aliased(&inside, &names),
                _ => aliased(&feature.partial.merge(&inside, ""), &names),
            };
            for line in lines {
                if !merged.contains(&line) {
                    merged.push(line);
                }
            }
        }
        let grouped = match last {
            0 => String::new(),
            _ => format!("\n  GROUP BY {keys}, ts, {ds}"),
        };
        format!(
            "merged AS (\n  SELECT {keys}, ts, {ds},\n    {}\n  FROM ringed{grouped}\n)\nSELECT {keys}, ts, {ds},\n  {}\nFROM merged",
            merged.join(",\n    "),
            Self::finished(group).join(",\n  "),
        )
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
