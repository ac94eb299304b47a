//! Joins: the left rows (`O_bootstrap`), one table per part, and the joined output (§3, §6).

use chronon_run_conf::{Accuracy, DataModel, Join, OfflinePart, is_null_literal};
use chronon_run_core::{AssetKind, PartitionRange, RangeSet, TableName};
use indexmap::IndexMap;

use super::{
    DRIVER_TOO, Refusal, Request, Types,
    bootstrap::{Additions, moved_to_front},
    day::DayColumn,
    derive, group_by,
    output::Output,
    script::Script,
    source::{self, LeftOf, Reach, Scan, Span},
    text::ident,
    types::{self, Shape},
    usage::{Target, Use, Values},
};

/// The view of the left rows, as stored in `O_bootstrap`.
const LEFT_ROWS: &str = "left_rows";

/// The view of the left rows that the output lacks.
const LACKING_ROWS: &str = "lacking_left_rows";

/// How far from a part's step the keys of other days are taken, in days: the Driver's own step length.
const NEAR_DAYS: i32 = 30;

/// Before the name of a derived column: its value from a bootstrap.
const READY: &str = "__ready_";

/// The script of a join's step.
pub(super) fn compile(
    request: &Request<'_>,
    conf: &Join,
    script: &mut Script<'_>,
) -> Result<(), Refusal> {
    let steps = Steps::of(request, conf)?;
    match request.mode {
        AssetKind::Left => steps.left(script)?,
        AssetKind::Part(name) => {
            steps.stored_left(script);
            for part in conf
                .offline_parts()
                .filter(|part| part.full_prefix == *name)
            {
                steps.part(&part, script)?;
            }
        }
        AssetKind::Final => {
            steps.stored_left(script);
            let tables: Vec<_> = conf.offline_parts().collect();
            let mut joined = Vec::new();
            for part in tables {
                let values = steps.stored_values(&part)?;
                joined.push((part, values));
            }
            steps.output(&joined, script)?;
        }
        _ => {
            steps.left(script)?;
            let mut joined = Vec::new();
            for part in conf.offline_parts() {
                let values = steps.part(&part, script)?;
                joined.push((part, values));
            }
            steps.output(&joined, script)?;
        }
    }
    Ok(())
}

/// What the steps of one join share.
struct Steps<'a> {
    request: &'a Request<'a>,
    conf: &'a Join,
    output: TableName,
    /// Left columns in the engine's order, without `ts_ds` and the partition.
    left_columns: Vec<String>,
    /// Bootstraps and external columns.
    additions: Additions,
    /// `SELECT` of the left rows.
    left_sql: String,
    /// Events on the left: rows have a time.
    timed: bool,
}

impl<'a> Steps<'a> {
    fn of(request: &'a Request<'a>, conf: &'a Join) -> Result<Self, Refusal> {
        let output = conf
            .backfill_table()
            .map_err(|error| request.refuse("metaData.outputNamespace", error))?;
        let table = conf
            .left
            .table()
            .map_err(|error| request.refuse("left.table", error))?
            .table;
        let timed = conf.left.data_model() == DataModel::Events;
        let ds = request.partition_column;
        let span = Span::Days(request.range);
        let scan = Scan::of(&conf.left, &table, span, Reach::Span, request.tables, ds)
            .map_err(|why| request.refuse("left", why))?;
        let query = conf.left.query();
        let day = DayColumn::of(query, &table, request.tables, ds);
        let implicit = source::implicit(&day, ds, query.time_column.clone().filter(|_| timed));
        let (left_sql, order) = source::select(query, &table, &implicit, &scan, request.tables);
        if order.len() <= implicit.len() && !source::has_selects(query) {
            return Err(request.refuse(
                "left.query.selects",
                format!("{table} is not known, so its columns are not"),
            ));
        }
        if timed && !order.iter().any(|column| column == "ts") {
            return Err(request.refuse("left.query.timeColumn", "the rows have no time"));
        }
        let left = std::slice::from_ref(&conf.left);
        if let Some(why) = source::no_time(left, request.tables).filter(|_| timed) {
            return Err(request.refuse("left.query.timeColumn", why));
        }
        let left_columns = order.into_iter().filter(|column| column != ds).collect();
        let additions = Additions::of(conf, request.range, request.tables, ds)
            .map_err(|(field, why)| request.refuse(field, why))?;
        let steps = Self {
            request,
            conf,
            output,
            left_columns: additions.left_order(left_columns),
            additions,
            left_sql,
            timed,
        };
        match steps.unknown_field() {
            Some((part, field)) => Err(request.refuse(
                format!("{part}.query.selects"),
                format!("the join has no column `{field}`; the Driver fails too"),
            )),
            None => Ok(steps),
        }
    }

    /// A field of a bootstrap part that is no column of the join.
    fn unknown_field(&self) -> Option<(String, String)> {
        let mut known: Vec<String> = self.additions.external_columns();
        let derivations = self.conf.derivations.iter().flatten();
        known.extend(derivations.map(|derivation| derivation.name.clone()));
        if known.iter().any(|name| name == "*") {
            known.extend(self.left_columns.iter().cloned());
        }
        for part in self.conf.offline_parts() {
            known.extend(Self::keys(&part).into_iter().map(|(_, left)| left));
            known.extend(self.feature_names(&part));
        }
        let mut fields = self.additions.fields();
        let unknown = fields.find(|(_, field)| !known.contains(field));
        unknown.map(|(part, field)| (part.to_owned(), field.clone()))
    }

    fn ds(&self) -> &str {
        self.request.partition_column
    }

    /// `O_bootstrap`; for `O_pre_mt` it is still named after `O`.
    fn bootstrap(&self) -> Result<TableName, Refusal> {
        let output = self.request.output_table(&self.conf.meta_data)?;
        Ok(output.suffixed("_bootstrap"))
    }

    fn part_table(&self, part: &OfflinePart<'_>) -> Result<TableName, Refusal> {
        let output = self.request.output_table(&self.conf.meta_data)?;
        Ok(output.suffixed(&format!("_{}", part.table_suffix)))
    }

    /// Writes `O_bootstrap` and reads it back as the left rows.
    fn left(&self, script: &mut Script<'_>) -> Result<(), Refusal> {
        for setup in self.conf.left.query().setups.iter().flatten() {
            script.heading("left: setups");
            script.statement(setup);
        }
        let mut columns = self.left_columns.clone();
        let mut lines: Vec<String> = columns.iter().map(|column| ident(column)).collect();
        if self.timed {
            lines.push(
                "CAST(DATE_FROM_UNIX_DATE(CAST(FLOOR(ts / 86400000) AS INT)) AS STRING) AS ts_ds"
                    .into(),
            );
            columns.push("ts_ds".into());
        }
        lines.push(ident(self.ds()));
        let skewed = without_skew(self.conf);
        script.query(
            "left_source",
            "left",
            &format!(
                "SELECT\n  {}\nFROM (\n  {}\n){skewed}",
                lines.join(",\n  "),
                super::text::indent(&self.left_sql, 2)
            ),
        );
        let views = ("left_source", "left_with_additions");
        let added = self.additions.add(script, views, &columns, self.ds());
        columns.extend(added);
        columns.push(self.ds().to_owned());
        let mut types = self.types();
        types.extend(
            self.timed
                .then(|| ("ts_ds".to_owned(), "string".to_owned())),
        );
        if !self.additions.has_parts() {
            types.insert("matched_hashes".to_owned(), "array<string>".to_owned());
        }
        let output = Output {
            table: self.bootstrap()?,
            kind: Some("bootstrap"),
            meta: &self.conf.meta_data,
            columns: Some(columns),
            types,
            likely: Types::new(),
            partitioned_by: vec![self.ds().to_owned()],
        };
        script.create(&output, views.1);
        script.overwrite(&output, views.1, Some(self.request.range));
        self.stored_left(script);
        Ok(())
    }

    /// The left rows as stored, and the days of their times.
    fn stored_left(&self, script: &mut Script<'_>) {
        let Ok(bootstrap) = self.bootstrap() else {
            return;
        };
        let ds = ident(self.ds());
        let PartitionRange { start, end } = self.request.range;
        script.query(
            LEFT_ROWS,
            "left: the rows to enrich",
            &format!("SELECT * FROM {bootstrap} WHERE {ds} >= '{start}' AND {ds} <= '{end}'"),
        );
        if self.timed {
            script.cached(
                &LeftOf::Step.view(),
                "left: the days of the rows own times, which late and early rows widen",
                &format!("SELECT MIN(ts_ds) AS first_ds, MAX(ts_ds) AS last_ds FROM {LEFT_ROWS}"),
            );
        }
    }

    /// The view of the left rows whose keys a part's end-of-day values are computed for. A part step of
    /// its own may write partitions that rows of other days read (early and late rows), so it takes the
    /// keys of all left rows that the output lacks, as the Driver does.
    fn rows_with_keys(&self, script: &mut Script<'_>) -> &'static str {
        let (true, AssetKind::Part(_), Ok(bootstrap)) =
            (self.timed, self.request.mode, self.bootstrap())
        else {
            return LEFT_ROWS;
        };
        let lacking = self.lacking_days(&bootstrap);
        if lacking == RangeSet::from(self.request.range) {
            return LEFT_ROWS;
        }
        let ds = ident(self.ds());
        let days = lacking.ranges().iter();
        let days: Vec<String> = days
            .map(|PartitionRange { start, end }| format!("({ds} >= '{start}' AND {ds} <= '{end}')"))
            .collect();
        script.query(
            LACKING_ROWS,
            "left: all rows that the output lacks, for their keys",
            &format!("SELECT * FROM {bootstrap} WHERE {}", days.join(" OR ")),
        );
        LACKING_ROWS
    }

    /// The days of the step and those near it that the left rows have and the output has not.
    fn lacking_days(&self, bootstrap: &TableName) -> RangeSet {
        let PartitionRange { start, end } = self.request.range;
        let last = end.plus(NEAR_DAYS).min(self.request.latest_date.max(end));
        let near = PartitionRange {
            start: start.plus(-NEAR_DAYS),
            end: last,
        };
        let days = |table: &TableName| self.request.tables.days(table, self.ds(), &[]);
        let lacking = days(bootstrap).minus(&days(&self.output));
        lacking
            .intersect(&near.into())
            .union(&self.request.range.into())
    }

    /// Whether a part's values are those at the row's own time.
    fn at_instants(&self, part: &OfflinePart<'_>) -> bool {
        self.timed && part.group_by.accuracy() == Accuracy::Temporal
    }

    /// The part's planned partitions: the day before for end-of-day values of timed rows.
    fn part_range(&self, part: &OfflinePart<'_>) -> PartitionRange {
        let shift = if self.timed && !self.at_instants(part) {
            -1
        } else {
            0
        };
        let PartitionRange { start, end } = self.request.range;
        PartitionRange {
            start: start.plus(shift),
            end: end.plus(shift),
        }
    }

    /// `(key, left column)` in the order of the GroupBy's keys.
    fn keys(part: &OfflinePart<'_>) -> Vec<(String, String)> {
        let owned = |(key, left): (&str, &str)| (key.to_owned(), left.to_owned());
        part.left_columns().map(owned).collect()
    }

    /// The same, if the left has columns that can be compared with them.
    fn checked_keys(&self, part: &OfflinePart<'_>) -> Result<Vec<(String, String)>, Refusal> {
        let keys = Self::keys(part);
        for (key, left) in &keys {
            if !self.left_columns.contains(left) {
                let field = format!("joinParts[{}].keyMapping", part.full_prefix);
                let why = format!("the left has no column `{left}` for the key `{key}`");
                return Err(self.request.refuse(field, why));
            }
        }
        if let Some(why) = keys.iter().find_map(|pair| self.mismatch(part, pair)) {
            let field = format!("joinParts[{}].groupBy.keyColumns", part.full_prefix);
            return Err(self.request.refuse(field, why));
        }
        Ok(keys)
    }

    /// Computes one part and writes its table.
    fn part(&self, part: &OfflinePart<'_>, script: &mut Script<'_>) -> Result<Values, Refusal> {
        let keys = self.checked_keys(part)?;
        let instants = self.at_instants(part);
        let prefix = format!("part_{}", part.full_prefix);
        group_by::setups(part.group_by, script);
        let rows = match instants {
            true => LEFT_ROWS,
            false => self.rows_with_keys(script),
        };
        let covered = self.additions.covers(&self.made_of(part), "");
        let left = Self::uncovered(covered.as_deref(), &prefix, rows, script);
        let span = self.part_span(part, covered.as_deref(), script);
        if instants {
            self.instants(&prefix, &left, &keys, script);
        }
        let usage = Use {
            conf: part.group_by,
            prefix,
            span,
            target: if instants {
                Target::Instants
            } else {
                Target::DayEnds
            },
            left_keys: keys,
            left: Some(left),
            skew: part_skew(self.conf, part.key_mapping, &part.group_by.key_columns),
        };
        let values = group_by::values(&usage, script).map_err(|(field, why)| {
            self.request.refuse(
                format!("joinParts[{}].groupBy.{field}", part.full_prefix),
                why,
            )
        })?;
        let mut types = group_by::table_types(part.group_by, self.request.tables, self.ds());
        if instants {
            types.insert("ts".to_owned(), "bigint".to_owned());
        }
        let output = Output {
            table: self.part_table(part)?,
            kind: Some("join_part"),
            meta: &self.conf.meta_data,
            columns: Some(values.columns.clone()),
            types,
            likely: group_by::likely_types(part.group_by, self.request.tables, self.ds()),
            partitioned_by: vec![self.ds().to_owned()],
        };
        script.create(&output, &values.view);
        script.overwrite(&output, &values.view, Some(self.part_range(part)));
        Ok(values)
    }

    /// Why a key cannot be compared with its left column: the Driver takes equal types only
    /// (`validateJoinKeys`).
    fn mismatch(&self, part: &OfflinePart<'_>, pair: &(String, String)) -> Option<String> {
        let (key, left) = pair;
        let tables = self.request.tables;
        let certain = |source, name| {
            types::certain_type(source, name, tables).map(|text| Shape::of_type(&text))
        };
        let left_type = certain(&self.conf.left, left)?;
        // A union widens the types of its sources.
        let [source] = part.group_by.sources.as_slice() else {
            return None;
        };
        let key_type = certain(source, key).filter(|key_type| *key_type != left_type)?;
        let (left_type, key_type) = (left_type.kind().text()?, key_type.kind().text()?);
        Some(format!(
            "`{key}` is {key_type}, and `{left}` on the left {left_type}; {DRIVER_TOO}"
        ))
    }

    /// The types of left columns and features, where they are certain before Spark sees them.
    fn types(&self) -> Types {
        let tables = self.request.tables;
        let left = self.left_columns.iter().filter_map(|name| {
            let data_type = types::certain_type(&self.conf.left, name, tables)?;
            Some((name.clone(), data_type))
        });
        let mut all: Types = left.collect();
        if self.timed {
            // Of another type it is refused where that is seen; where it is not, only Spark knows.
            let time = types::time_type(std::slice::from_ref(&self.conf.left), tables);
            match time.filter(|time| time == "bigint") {
                Some(time) => all.insert("ts".to_owned(), time),
                None => all.remove("ts"),
            };
        }
        for part in self.conf.offline_parts() {
            let values = group_by::value_types(part.group_by, tables, self.ds()).into_iter();
            all.extend(values.map(|(name, kind)| (format!("{}_{name}", part.full_prefix), kind)));
        }
        all.extend(self.additions.types());
        all
    }

    /// The output columns that are made of a part's features, each with those features.
    fn made_of(&self, part: &OfflinePart<'_>) -> Vec<(String, Vec<String>)> {
        let features = self.feature_names(part);
        let derivations = self.conf.derivations.as_deref().unwrap_or_default();
        if derivations.is_empty() {
            let own = features.into_iter();
            return own.map(|name| (name.clone(), vec![name])).collect();
        }
        let outputs = derive::columns(&features, derivations).into_iter();
        let outputs = outputs.map(|(name, expression)| {
            let words = derive::words(&expression);
            let made = features.iter().filter(|f| words.contains(&f.as_str()));
            (name, made.cloned().collect::<Vec<_>>())
        });
        outputs
            .filter(|(_, features)| !features.is_empty())
            .collect()
    }

    /// The full names of a part's features.
    fn feature_names(&self, part: &OfflinePart<'_>) -> Vec<String> {
        let values = group_by::value_names(part.group_by, self.request.tables, self.ds());
        let names = values
            .iter()
            .map(|name| format!("{}_{name}", part.full_prefix));
        names.collect()
    }

    /// The view of the left rows that a part is computed for: not those for which all of its
    /// features are bootstrapped.
    fn uncovered(
        covered: Option<&str>,
        prefix: &str,
        rows: &str,
        script: &mut Script<'_>,
    ) -> String {
        let Some(covered) = covered else {
            return rows.to_owned();
        };
        let view = format!("{prefix}_left");
        script.query(
            &view,
            "bootstrapParts: rows that need nothing of this part any more are left out",
            &format!("SELECT * FROM {rows} WHERE NOT {covered}"),
        );
        view
    }

    /// The days that a part is computed for: those of the left rows that need something of it.
    fn part_span(
        &self,
        part: &OfflinePart<'_>,
        covered: Option<&str>,
        script: &mut Script<'_>,
    ) -> Span {
        let shift = i32::from(self.timed && !self.at_instants(part));
        let Some(covered) = covered else {
            return match self.timed {
                true => Span::LeftDays(LeftOf::Step, -shift),
                false => Span::Days(self.request.range),
            };
        };
        let mut parts = self.conf.offline_parts();
        let index = parts.position(|other| other.full_prefix == part.full_prefix);
        let days = LeftOf::Part(index.unwrap_or_default());
        let day = match self.timed {
            true => "ts_ds".to_owned(),
            false => ident(self.ds()),
        };
        script.cached(
            &days.view(),
            "bootstrapParts: the days of the rows that need something of this part",
            &format!(
                "SELECT MIN({day}) AS first_ds, MAX({day}) AS last_ds FROM {LEFT_ROWS} WHERE NOT {covered}"
            ),
        );
        Span::LeftDays(days, -shift)
    }

    /// The distinct keys and times of the left; rows with a NULL key have no features.
    fn instants(
        &self,
        prefix: &str,
        left: &str,
        keys: &[(String, String)],
        script: &mut Script<'_>,
    ) {
        let lines: Vec<String> = keys
            .iter()
            .map(|(key, left)| derive::line(key, &ident(left)))
            .collect();
        let present: Vec<String> = keys
            .iter()
            .map(|(_, left)| format!("{} IS NOT NULL", ident(left)))
            .collect();
        script.query(
            &format!("{prefix}_instants"),
            "keys and times for which values are needed",
            &format!(
                "SELECT DISTINCT {}, ts, {}\nFROM {}\nWHERE {}",
                lines.join(", "),
                ident(self.ds()),
                ident(left),
                present.join(" AND ")
            ),
        );
    }

    /// The values of a part that another step has written, read from the catalog.
    fn stored_values(&self, part: &OfflinePart<'_>) -> Result<Values, Refusal> {
        let table = self.part_table(part)?;
        let field = format!("joinParts[{}]", part.full_prefix);
        let state = self.request.tables.table(&table).ok_or_else(|| {
            self.request.refuse(
                &field,
                format!("{table} does not exist yet; run its part step first"),
            )
        })?;
        let keys = &part.group_by.key_columns;
        let mut columns: Vec<String> = Vec::new();
        for column in state
            .info
            .columns
            .iter()
            .chain(&state.info.partition_columns)
        {
            if !columns.contains(&column.name) {
                columns.push(column.name.clone());
            }
        }
        let is_value = |name: &&String| !keys.contains(name) && *name != "ts" && *name != self.ds();
        let values = columns.iter().filter(is_value).cloned().collect();
        Ok(Values {
            view: table.to_string(),
            columns,
            values,
        })
    }

    /// Joins the parts to the left rows and writes the output.
    fn output(
        &self,
        parts: &[(OfflinePart<'_>, Values)],
        script: &mut Script<'_>,
    ) -> Result<(), Refusal> {
        let ds = ident(self.ds());
        // A join moves its keys to the front, one part after the other.
        let mut order = self.left_columns.clone();
        order.extend(self.additions.lacking_keys(&self.left_columns));
        let mut features: Vec<(String, String)> = Vec::new();
        let mut joins = String::new();
        for (index, (part, values)) in parts.iter().enumerate() {
            let alias = format!("p{}", index + 1);
            order = moved_to_front(order, &self.match_columns(part));
            features.extend(self.features(part, values, &alias));
            joins.push_str(&self.joined_part(part, &alias)?);
        }
        let external = self.additions.external_features.iter();
        features.extend(external.map(|name| (name.clone(), format!("l.{}", ident(name)))));
        let names: Vec<String> = features.iter().map(|(name, _)| name.clone()).collect();
        for name in self.bootstrapped_derivations() {
            features.push((format!("{READY}{name}"), format!("l.{}", ident(&name))));
        }
        let left = order.iter().map(|name| format!("l.{}", ident(name)));
        let right = features
            .iter()
            .map(|(name, value)| format!("{value} AS {}", ident(name)));
        let lines: Vec<String> = left.chain(right).chain([format!("l.{ds}")]).collect();
        script.query(
            "joined",
            "joinParts: every left row with the features of each part",
            &format!(
                "SELECT\n  {}\nFROM {LEFT_ROWS} l{joins}",
                lines.join(",\n  ")
            ),
        );
        let (view, columns) = self.derived(order, names, script);
        let mut types = self.types();
        derive::rename_types(
            &mut types,
            self.conf.derivations.as_deref().unwrap_or_default(),
        );
        // A bootstrap may have them in another type.
        types.retain(|name, _| !self.additions.has(name));
        let output = Output {
            table: self.output.clone(),
            kind: Some("join"),
            meta: &self.conf.meta_data,
            columns: Some(columns),
            types,
            likely: Types::new(),
            partitioned_by: vec![self.ds().to_owned()],
        };
        script.create(&output, &view);
        script.overwrite(&output, &view, Some(self.request.range));
        Ok(())
    }

    /// The left columns by which a part's values are found.
    fn match_columns(&self, part: &OfflinePart<'_>) -> Vec<String> {
        let keys = Self::keys(part).into_iter().map(|(_, left)| left);
        let time = self.at_instants(part).then(|| "ts".to_owned());
        keys.chain(time).collect()
    }

    /// `(name, value)` of a part's features: what is bootstrapped comes before what is computed.
    fn features(
        &self,
        part: &OfflinePart<'_>,
        values: &Values,
        alias: &str,
    ) -> Vec<(String, String)> {
        let feature = |value: &String| {
            let name = format!("{}_{value}", part.full_prefix);
            let computed = format!("{alias}.{}", ident(value));
            let value = match self.additions.has(&name) {
                false => computed,
                true => format!("COALESCE(l.{}, {computed})", ident(&name)),
            };
            (name, value)
        };
        values.values.iter().map(feature).collect()
    }

    /// `LEFT JOIN` of a part's table.
    fn joined_part(&self, part: &OfflinePart<'_>, alias: &str) -> Result<String, Refusal> {
        let ds = ident(self.ds());
        let instants = self.at_instants(part);
        let mut on: Vec<String> = Self::keys(part)
            .iter()
            .map(|(key, left)| format!("l.{} = {alias}.{}", ident(left), ident(key)))
            .collect();
        if instants {
            on.push(format!("l.ts = {alias}.ts"));
        }
        on.push(match self.timed && !instants {
            true => format!("CAST(DATE_SUB(l.ts_ds, 1) AS STRING) = {alias}.{ds}"),
            false => format!("l.{ds} = {alias}.{ds}"),
        });
        // The days of the rows' own times, also where the parts were filled by steps of their own. The
        // Driver's join-final reads those of the step only (hazard 3).
        let days = match self.timed && !instants {
            true => Span::LeftDays(LeftOf::Step, -1),
            false => Span::Days(self.part_range(part)),
        };
        Ok(format!(
            "\nLEFT JOIN (SELECT * FROM {} WHERE {ds} >= {} AND {ds} <= {}) {alias}  -- joinParts {}\n  ON {}",
            self.part_table(part)?,
            days.first(0),
            days.last(0),
            part.full_prefix,
            on.join(" AND ")
        ))
    }

    /// The derived columns that a bootstrap has values for.
    fn bootstrapped_derivations(&self) -> Vec<String> {
        let derivations = self.conf.derivations.iter().flatten();
        let named = derivations.map(|derivation| derivation.name.clone());
        named
            .filter(|name| name != "*" && self.additions.has(name))
            .collect()
    }

    /// Applies the join's derivations: the left columns stay, then the features or what is
    /// derived from them.
    fn derived(
        &self,
        left: Vec<String>,
        features: Vec<String>,
        script: &mut Script<'_>,
    ) -> (String, Vec<String>) {
        let ds = self.ds().to_owned();
        let derivations = self.conf.derivations.as_deref().unwrap_or_default();
        if derivations.is_empty() {
            // What the left rows had before any part stays before what the parts add.
            let stored = self.additions.stored(&self.left_columns);
            let mut ordered: Vec<String> = stored
                .into_iter()
                .filter(|name| features.contains(name))
                .collect();
            let computed = features.into_iter().filter(|name| !ordered.contains(name));
            let computed: Vec<String> = computed.collect();
            ordered.extend(computed);
            let columns = left.into_iter().chain(ordered).chain([ds]).collect();
            return ("joined".into(), columns);
        }
        let mut kept = derive::columns(&features, derivations);
        let ready = self.bootstrapped_derivations();
        for (name, expression) in kept.iter_mut().filter(|(name, own)| name != own) {
            // What has a value already keeps it.
            let known = match ready.contains(name) {
                true => ident(&format!("{READY}{name}")),
                false if left.contains(name) || features.contains(name) => ident(name),
                false => continue,
            };
            *expression = format!("COALESCE({known}, {expression})");
        }
        let of_left = left.iter().map(|name| {
            let derived = kept.iter().find(|(derived, _)| derived == name);
            derive::line(name, derived.map_or(name, |(_, expression)| expression))
        });
        let others = kept.iter().filter(|(name, _)| !left.contains(name));
        let lines: Vec<String> = of_left
            .chain(
                others
                    .clone()
                    .map(|(name, expression)| derive::line(name, expression)),
            )
            .chain([ident(&ds)])
            .collect();
        let names: Vec<String> = others.map(|(name, _)| name.clone()).collect();
        let sql = format!("SELECT\n  {}\nFROM joined", lines.join(",\n  "));
        script.query("derived", "derivations", &sql);
        (
            "derived".into(),
            left.into_iter().chain(names).chain([ds]).collect(),
        )
    }
}

/// `skewKeys`: the condition that leaves out the rows whose columns all have such values; empty if
/// there are none.
pub(super) fn without_skew(conf: &Join) -> String {
    let skewed: Vec<String> = conf
        .skew_keys
        .iter()
        .flatten()
        .map(|(column, values)| not_skewed(column, values))
        .collect();
    match skewed.is_empty() {
        true => String::new(),
        false => format!("\nWHERE {}  -- skewKeys", skewed.join(" OR ")),
    }
}

/// NULL among the values is no literal that is compared (`generateSkewFilterSql`): it leaves the rows out
/// whose key is NULL, as every other list of values does.
fn not_skewed(column: &str, values: &[String]) -> String {
    let literals = values.iter().map(String::as_str);
    let literals: Vec<&str> = literals.filter(|value| !is_null_literal(value)).collect();
    let column = ident(column);
    match literals.is_empty() {
        true => format!("{column} IS NOT NULL"),
        false => format!("{column} NOT IN ({})", literals.join(", ")),
    }
}

/// `skewKeys`: the condition of a part's rows, by those of its keys that have skewed values.
pub(super) fn part_skew(
    conf: &Join,
    mapping: Option<&IndexMap<String, String>>,
    keys: &[String],
) -> Option<String> {
    let skewed = conf.skew_keys.iter().flatten();
    let conditions = skewed.filter_map(|(left, values)| {
        let key = mapping.and_then(|map| map.get(left)).unwrap_or(left);
        keys.contains(key).then(|| not_skewed(key, values))
    });
    let conditions: Vec<String> = conditions.collect();
    (!conditions.is_empty()).then(|| conditions.join(" OR "))
}
