//! The views of one GroupBy with aggregations: rows split, merged per key and day, framed by
//! windows, and put together in the engine's column order.

use chronon_run_conf::{DataModel, Window};

use super::{
    aggregate::{EMPTY, Feature, PIECE, Partial, Split, window_word},
    order::in_engine_order,
    script::Script,
    text::{ident, list},
    usage::{Target, Use, Values},
};

/// Milliseconds of a day.
pub(super) const DAY: i64 = 86_400_000;

/// The views of one GroupBy with aggregations.
pub(super) struct Pipeline<'a> {
    pub(super) usage: &'a Use<'a>,
    pub(super) features: Vec<Feature>,
    /// The view of the rows.
    pub(super) events: &'a str,
}

/// The features of one split.
pub(super) struct Group<'a> {
    pub(super) split: &'a Split,
    pub(super) features: Vec<&'a Feature>,
}

impl Group<'_> {
    /// What is aggregated, each once.
    pub(super) fn partials(&self) -> Vec<&Partial> {
        let mut partials: Vec<&Partial> = Vec::new();
        for feature in &self.features {
            if !partials.contains(&&feature.partial) {
                partials.push(&feature.partial);
            }
        }
        partials
    }

    /// `merged AS column` of all partial results, from what each of them is merged of.
    pub(super) fn merged(&self, inputs: impl Fn(&Partial) -> Vec<String>) -> Vec<String> {
        let partials = self.partials().into_iter();
        let lines = partials.flat_map(|partial| {
            let names: Vec<String> = partial.columns().iter().map(|name| ident(name)).collect();
            aliased(&partial.merge(&inputs(partial), ""), &names)
        });
        lines.collect()
    }
}

/// A partial result's columns for one window.
pub(super) fn cells(partial: &Partial, window: Option<Window>) -> Vec<String> {
    let suffix = window
        .map(|w| format!("_{}", window_word(w)))
        .unwrap_or_default();
    let columns = partial.columns().into_iter();
    columns
        .map(|column| ident(&format!("{column}{suffix}")))
        .collect()
}

/// `a AS b` lines.
pub(super) fn aliased(values: &[String], names: &[String]) -> Vec<String> {
    let pairs = values.iter().zip(names);
    pairs
        .map(|(value, name)| format!("{value} AS {name}"))
        .collect()
}

/// `w7d`, `all_time`: the name of a frame.
fn frame_name(window: Option<Window>) -> String {
    window.map_or_else(|| "all_time".into(), |w| format!("last_{}", window_word(w)))
}

impl Pipeline<'_> {
    /// Declares all views and returns the one with the features in the engine's order.
    pub(super) fn declare(&self, script: &mut Script<'_>) -> Values {
        let maps = self
            .features
            .iter()
            .filter(|f| matches!(f.split, Split::Entries(_)));
        let mut empty: Vec<Feature> = Vec::new();
        for feature in maps {
            let same = |e: &Feature| e.window == feature.window && e.split == feature.split;
            if !empty.iter().any(same) {
                empty.push(Feature::empty_maps(&feature.split, feature.window));
            }
        }
        let mut groups: Vec<Group<'_>> = Vec::new();
        for feature in self.features.iter().chain(&empty) {
            match groups
                .iter_mut()
                .find(|group| *group.split == feature.split)
            {
                Some(group) => group.features.push(feature),
                None => groups.push(Group {
                    split: &feature.split,
                    features: vec![feature],
                }),
            }
        }
        let views: Vec<String> = groups
            .iter()
            .map(|group| self.group(group, script))
            .collect();
        self.in_order(&groups, &views, script)
    }

    /// One view with the features of all groups in the engine's order.
    fn in_order(&self, groups: &[Group<'_>], views: &[String], script: &mut Script<'_>) -> Values {
        let instants = matches!(self.usage.target, Target::Instants);
        let mut head = self.usage.conf.key_columns.clone();
        if instants {
            head.push("ts".into());
        }
        let ds = script.ds.to_owned();
        let identity: Vec<String> = head.iter().chain([&ds]).cloned().collect();
        let names: Vec<String> = self.features.iter().map(|f| f.name.clone()).collect();
        let columns: Vec<String> = head.iter().chain(&names).chain([&ds]).cloned().collect();
        let view = format!("{}_values", self.usage.prefix);
        let title = format!("GroupBy {}: aggregations", self.usage.conf.meta_data.name);
        let shown = self.shown(&columns, script.orders_maps);
        let present = self.row_condition(&names);
        let sql = if views.len() == 1 && groups.iter().all(|group| *group.split == Split::None) {
            let source = views.first().cloned().unwrap_or_default();
            format!("SELECT {shown}\nFROM {}{present}", ident(&source))
        } else {
            let pieces = self.group_pieces(groups, views, &identity);
            let merged: Vec<String> = names
                .iter()
                .map(|name| format!("FIRST({0}, true) AS {0}", ident(name)))
                .collect();
            format!(
                "SELECT {shown}\nFROM (\n  SELECT {identity}, {merged}\n  FROM (\n    {pieces}\n  )\n  GROUP BY {identity}\n){present}",
                identity = list(&identity),
                merged = merged.join(", "),
                pieces = pieces.join("\n    UNION ALL\n    "),
            )
        };
        script.query(&view, &title, &sql);
        Values {
            view,
            columns,
            values: names,
        }
    }

    /// Rows of each group with all features, those of other groups NULL, and rows without any of every identity
    /// that must be there.
    fn group_pieces(
        &self,
        groups: &[Group<'_>],
        views: &[String],
        identity: &[String],
    ) -> Vec<String> {
        let piece = |source: &str, has: &dyn Fn(&Feature) -> bool| {
            let cell = |feature: &Feature| match has(feature) {
                true => ident(&feature.name),
                false => format!("NULL AS {}", ident(&feature.name)),
            };
            let cells: Vec<String> = self.features.iter().map(cell).collect();
            let (identity, cells) = (list(identity), cells.join(", "));
            format!("SELECT {identity}, {cells} FROM {source}")
        };
        let groups = groups.iter().zip(views);
        let pieces = groups.map(|(group, source)| {
            let own = |feature: &Feature| group.features.iter().any(|f| f.name == feature.name);
            piece(&ident(source), &own)
        });
        let complete = self.complete_identities();
        let complete = complete.map(|complete| piece(&complete, &|_| false));
        pieces.chain(complete).collect()
    }

    /// The columns, maps in the engine's order if that can be seen.
    fn shown(&self, columns: &[String], orders_maps: bool) -> String {
        let is_map = |name: &String| {
            let feature = self.features.iter().find(|feature| feature.name == *name);
            orders_maps && feature.is_some_and(Feature::is_map)
        };
        let shown = columns.iter().map(|name| match is_map(name) {
            true => format!("{} AS {}", in_engine_order(&ident(name)), ident(name)),
            false => ident(name),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// End-of-day values of unsplit features over a view of the merged days.
    pub(super) fn declare_over_days(&self, days: &str, script: &mut Script<'_>) -> Values {
        let group = Group {
            split: &Split::None,
            features: self.features.iter().collect(),
        };
        let merged = format!("{}_merged", self.usage.prefix);
        self.day_ends_over(&group, days, &merged, script);
        self.in_order(&[group], &[merged], script)
    }

    /// Days of events on which a key has no value at all have no row.
    fn row_condition(&self, names: &[String]) -> String {
        let days_of_events = matches!(self.usage.target, Target::DayEnds)
            && self.usage.conf.data_model() == DataModel::Events;
        if !days_of_events {
            return String::new();
        }
        let some: Vec<String> = names
            .iter()
            .map(|name| format!("{} IS NOT NULL", ident(name)))
            .collect();
        format!("\nWHERE {}", some.join("\n  OR "))
    }

    pub(super) fn queries(&self) -> String {
        format!("{}_instants", self.usage.prefix)
    }

    /// Where every row of the result is found, whether it has values or not.
    fn complete_identities(&self) -> Option<String> {
        let entities = self.usage.conf.data_model() == DataModel::Entities;
        match self.usage.target {
            Target::Instants => Some(ident(&self.queries())),
            Target::DayEnds if entities => Some(ident(self.events)),
            Target::DayEnds => None,
        }
    }

    /// Declares the views of one group and returns the last.
    fn group(&self, group: &Group<'_>, script: &mut Script<'_>) -> String {
        let suffix = group.split.suffix();
        let view = format!("{}_merged{suffix}", self.usage.prefix);
        let entities = self.usage.conf.data_model() == DataModel::Entities;
        match (self.usage.target, entities) {
            (Target::DayEnds, true) => self.snapshots(group, &view, script),
            (Target::DayEnds, false) => self.day_ends(group, &view, script),
            (Target::Instants, true) => self.mutated(group, &view, script),
            (Target::Instants, false) => self.instants(group, &view, script),
        }
        if group.split.has_pieces() {
            self.together(group, &view, script)
        } else {
            view
        }
    }

    /// One row per key again: the pieces of a split as entries of a map, or elements of a list.
    fn together(&self, group: &Group<'_>, merged: &str, script: &mut Script<'_>) -> String {
        let mut identity: Vec<String> = self.usage.conf.key_columns.clone();
        if matches!(self.usage.target, Target::Instants) {
            identity.push("ts".into());
        }
        identity.push(script.ds.to_owned());
        let outputs = group.features.iter().filter(|feature| feature.is_output());
        let features: Vec<String> = outputs
            .map(|feature| {
                let name = ident(&feature.name);
                let entry = format!(
                    "COLLECT_LIST(IF({name} IS NULL, NULL, NAMED_STRUCT('piece', {PIECE}, 'value', {name})))"
                );
                let value = match group.split {
                    Split::Positions(_) => format!("TRANSFORM(SORT_ARRAY({entry}), e -> e.value)"),
                    _ => format!("MAP_FROM_ENTRIES({entry})"),
                };
                let some = match group.split {
                    Split::Entries(_) => {
                        let empty = Feature::empty_maps(group.split, feature.window).name;
                        format!("COUNT({name}) + COUNT({}) > 0", ident(&empty))
                    }
                    _ => format!("COUNT({name}) > 0"),
                };
                format!("IF({some}, {value}, NULL) AS {name}")
            })
            .collect();
        let view = format!("{}_together{}", self.usage.prefix, group.split.suffix());
        let title = match group.split {
            Split::Bucket(bucket) | Split::ElementsByBucket(_, bucket) => {
                format!("aggregations.buckets {bucket}: one map entry per value")
            }
            Split::Positions(input) => format!("aggregations.elementWise {input}: a list again"),
            _ => "aggregations.inputColumn: one entry per key of the input map".to_owned(),
        };
        script.query(
            &view,
            &title,
            &format!(
                "SELECT {identity},\n  {}\nFROM {}\nGROUP BY {identity}",
                features.join(",\n  "),
                ident(merged),
                identity = list(&identity),
            ),
        );
        view
    }

    /// Keys, and what tells the pieces of a split apart.
    pub(super) fn keys(&self, group: &Group<'_>) -> Vec<String> {
        let piece = group.split.has_pieces().then(|| PIECE.to_owned());
        let keys = self.usage.conf.key_columns.iter().cloned();
        keys.chain(piece).collect()
    }

    /// The rows of a group, split; rows with a NULL piece belong to no group.
    pub(super) fn rows(&self, group: &Group<'_>) -> String {
        let events = ident(self.events);
        match group.split {
            Split::None => events,
            Split::Bucket(bucket) => format!(
                "(SELECT *, CAST({0} AS STRING) AS {PIECE} FROM {events} WHERE {0} IS NOT NULL)",
                ident(bucket),
            ),
            Split::Elements(input) => format!(
                "(SELECT * FROM {events} LATERAL VIEW EXPLODE({}) AS __item)",
                ident(input)
            ),
            Split::Entries(input) => format!(
                "(SELECT *, IF({PIECE} IS NULL, 1, NULL) AS {EMPTY} FROM {events} LATERAL VIEW OUTER EXPLODE(MAP_FILTER({0}, (k, v) -> v IS NOT NULL)) AS {PIECE}, __item WHERE {0} IS NOT NULL)",
                ident(input)
            ),
            Split::Positions(input) => format!(
                "(SELECT * FROM {events} LATERAL VIEW POSEXPLODE({}) AS {PIECE}, __item)",
                ident(input)
            ),
            Split::ElementsByBucket(input, bucket) => format!(
                "(SELECT *, CAST({1} AS STRING) AS {PIECE} FROM {events} LATERAL VIEW EXPLODE({0}) AS __item WHERE {1} IS NOT NULL)",
                ident(input),
                ident(bucket),
            ),
        }
    }

    /// Finished features of a group.
    pub(super) fn finished(group: &Group<'_>) -> Vec<String> {
        let lines = group.features.iter().map(|feature| {
            let value = feature
                .partial
                .finish(&cells(&feature.partial, feature.window));
            format!("{value} AS {}", ident(&feature.name))
        });
        lines.collect()
    }

    /// Entities: the rows of each snapshot, windows ending at the end of its day.
    fn snapshots(&self, group: &Group<'_>, view: &str, script: &mut Script<'_>) {
        let ds = ident(script.ds);
        let keys = list(&self.keys(group));
        let end = format!("(UNIX_DATE(CAST({ds} AS DATE)) + 1) * {DAY}L");
        let windowed = self.features.iter().any(|feature| feature.window.is_some());
        let filter = match windowed {
            true => format!("\n  WHERE ts < {end}"),
            false => String::new(),
        };
        let mut merged: Vec<String> = Vec::new();
        for feature in &group.features {
            let names = cells(&feature.partial, feature.window);
            let lifted: Vec<String> = feature
                .partial
                .lift("")
                .into_iter()
                .map(|cell| match feature.window {
                    None => cell,
                    Some(window) => format!("IF(ts >= {end} - {}L, {cell}, NULL)", window.millis()),
                })
                .collect();
            for line in aliased(&feature.partial.merge(&lifted, ""), &names) {
                if !merged.contains(&line) {
                    merged.push(line);
                }
            }
        }
        let from = self.rows(group);
        script.query(
            view,
            "aggregations: per snapshot",
            &format!(
                "WITH merged AS (\n  SELECT {keys}, {ds},\n    {}\n  FROM {from}{filter}\n  GROUP BY {keys}, {ds}\n)\nSELECT {keys}, {ds},\n  {}\nFROM merged",
                merged.join(",\n    "),
                Self::finished(group).join(",\n  ")
            ),
        );
    }

    /// The partial results per key and day.
    pub(super) fn days(&self, group: &Group<'_>, script: &mut Script<'_>) -> String {
        let view = format!("{}_days{}", self.usage.prefix, group.split.suffix());
        let keys = list(&self.keys(group));
        let lines = group.merged(|partial| partial.lift(""));
        script.query(
            &view,
            "aggregations: merged per key and day of the event time",
            &format!(
                "SELECT {keys}, CAST(FLOOR(ts / {DAY}) AS INT) AS __day,\n  {}\nFROM {}\nGROUP BY {keys}, CAST(FLOOR(ts / {DAY}) AS INT)",
                lines.join(",\n  "),
                self.rows(group)
            ),
        );
        view
    }

    /// Events, at the end of each day: a window of n days is a frame of n days.
    fn day_ends(&self, group: &Group<'_>, view: &str, script: &mut Script<'_>) {
        let days = self.days(group, script);
        self.day_ends_over(group, &days, view, script);
    }

    /// The same over a view of the merged days.
    fn day_ends_over(&self, group: &Group<'_>, days: &str, view: &str, script: &mut Script<'_>) {
        let keys = list(&self.keys(group));
        let frame = |window: Option<Window>| match window {
            None => "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW".to_owned(),
            Some(window) => {
                format!(
                    "RANGE BETWEEN {} PRECEDING AND CURRENT ROW",
                    window.days_back() - 1
                )
            }
        };
        let targets = format!(
            "SELECT {keys}, EXPLODE(SEQUENCE(UNIX_DATE(CAST({} AS DATE)), UNIX_DATE(CAST({} AS DATE)))) AS __day\n  FROM (SELECT DISTINCT {keys} FROM {})",
            self.usage.span.first(0),
            self.usage.span.last(0),
            ident(days)
        );
        let framed = self.framed(group, &keys, days, &targets, &frame);
        script.query(
            view,
            "aggregations.windows: frames over the days, one row per key and day",
            &format!(
                "{framed}\nSELECT {keys}, CAST(DATE_FROM_UNIX_DATE(__day) AS STRING) AS {},\n  {}\nFROM framed\nWHERE __is_target",
                ident(script.ds),
                Self::finished(group).join(",\n  ")
            ),
        );
    }

    /// `WITH framed AS (…)`: for every target (keys, day) the partial results of each window.
    pub(super) fn framed(
        &self,
        group: &Group<'_>,
        keys: &str,
        days: &str,
        targets: &str,
        frame: &dyn Fn(Option<Window>) -> String,
    ) -> String {
        let partials = group.partials();
        let columns: Vec<String> = partials
            .iter()
            .flat_map(|p| p.columns())
            .map(|c| ident(&c))
            .collect();
        let nothing: Vec<String> = columns.iter().map(|c| format!("NULL AS {c}")).collect();
        let mut lines: Vec<String> = Vec::new();
        let mut windows: Vec<String> = Vec::new();
        for feature in &group.features {
            let name = frame_name(feature.window);
            let inputs: Vec<String> = feature.partial.columns().iter().map(|c| ident(c)).collect();
            let merged = feature.partial.merge(&inputs, &format!(" OVER {name}"));
            for line in aliased(&merged, &cells(&feature.partial, feature.window)) {
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
            let definition = format!(
                "{name} AS (PARTITION BY {keys} ORDER BY __day {})",
                frame(feature.window)
            );
            if !windows.contains(&definition) {
                windows.push(definition);
            }
        }
        format!(
            "WITH targets AS (\n  {targets}\n),\ndays_and_targets AS (\n  SELECT {keys}, __day, false AS __is_target, {columns} FROM {days}\n  UNION ALL\n  SELECT {keys}, __day, true AS __is_target, {nothing} FROM targets\n),\nframed AS (\n  SELECT {keys}, __day, __is_target,\n    {lines}\n  FROM days_and_targets\n  WINDOW\n    {windows}\n)",
            columns = columns.join(", "),
            days = ident(days),
            nothing = nothing.join(", "),
            lines = lines.join(",\n    "),
            windows = windows.join(",\n    "),
        )
    }
}
