//! From confs to assets: which tables each conf produces (§3) and what they need (§4.2, §4.4).

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use chronon_run_conf::{
    AnyConf, ConfView, DataModel, GroupBy, Join, LabelPart, MetaData, OfflinePart, Query, Source,
    StagingQuery,
};
use chronon_run_core::{
    AssetId, AssetKind, ConfId, Diagnostic, Location, TableName, TableNameError, TableSpec,
};

use crate::{
    dependency::{Formats, day, declared, macro_tables, overriding, read_by_query, undeclared},
    graph::{Asset, Fill, Graph, Input, Role, SideTable},
    link::connect,
    need::Need,
    scan::{Scan, part_shift, scan_of_backfill, scan_of_part},
};

/// How a join is filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum JoinFlow {
    /// One job fills the bootstrap, every part and the output.
    #[default]
    Whole,
    /// `join-left`, then the parts side by side, then `join-final` (§6).
    Modular,
}

/// What the graph depends on besides the confs.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// `spark.chronon.partition.column`: the partition column of every output.
    pub partition_column: String,
    /// The flow of joins that `flows` does not name.
    pub flow: JoinFlow,
    /// Flow by join name.
    pub flows: BTreeMap<String, JoinFlow>,
    /// Key of `customJson` that holds the cadence of an upload (`UPLOAD_SCHEDULE_KEY`).
    pub upload_schedule_key: String,
    /// Cadence of uploads whose conf names none (`DEFAULT_UPLOAD_SCHEDULE`).
    pub upload_schedule: String,
    /// Dependencies that workspace.toml gives to confs, in place of their own.
    pub dependencies: BTreeMap<ConfId, Vec<String>>,
    /// What is different where the real Driver fills the tables; `None` for the `sql` engine.
    pub driver: Option<DriverOptions>,
}

/// What the graph of the real Driver depends on besides.
#[derive(Clone, Debug, Default)]
pub struct DriverOptions {
    /// The raw log of served features and the table of its schemas, `CHRONON_LOG_TABLE` and
    /// `CHRONON_SCHEMA_TABLE` of `teams.json` (§1.6).
    pub log_tables: Option<(TableName, TableName)>,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            partition_column: "ds".to_owned(),
            flow: JoinFlow::Whole,
            flows: BTreeMap::new(),
            upload_schedule_key: "uploadSchedule".to_owned(),
            upload_schedule: "@daily".to_owned(),
            dependencies: BTreeMap::new(),
            driver: None,
        }
    }
}

impl Graph {
    /// The graph of all confs, and what is wrong with it: table names that are none, and
    /// dependency cycles. An asset with an error is left out.
    #[must_use]
    pub fn build(confs: &[ConfView<'_>], options: &BuildOptions) -> (Self, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let mut assets = Vec::new();
        let formats = RefCell::default();
        for conf in confs {
            let builder = Builder {
                conf,
                options,
                formats: &formats,
            };
            match builder.assets() {
                Ok(found) => assets.extend(found),
                Err(error) => diagnostics.push(
                    Diagnostic::error("bad-table-name", error.to_string())
                        .at(Location::file(conf.path))
                        .hint("check `outputNamespace` here or `namespace` in teams.json, and the source tables; tables of other catalogs (`catalog.namespace.table`) are not supported"),
                ),
            }
        }
        let mut graph = connect(assets, &mut diagnostics);
        graph.formats = formats.into_inner();
        (graph, diagnostics)
    }
}

/// Builds the assets of one conf.
struct Builder<'a> {
    conf: &'a ConfView<'a>,
    options: &'a BuildOptions,
    formats: &'a RefCell<Formats>,
}

type Assets = Result<Vec<Asset>, TableNameError>;

impl Builder<'_> {
    fn assets(&self) -> Assets {
        match self.conf.conf {
            AnyConf::StagingQuery(conf) => self.staging_query(conf),
            AnyConf::GroupBy(conf) => self.group_by(conf),
            AnyConf::Join(conf) => self.join(conf),
        }
    }

    /// The dependencies of a conf: those of the workspace's overrides, or those that it declares itself.
    fn dependencies<'m>(&'m self, meta: &'m MetaData) -> Option<&'m [String]> {
        let id = conf_id(self.conf.conf, meta);
        let overridden = self.options.dependencies.get(&id).map(Vec::as_slice);
        let own = meta.dependencies.as_deref();
        overridden.or(own.filter(|texts| !texts.is_empty()))
    }

    fn declared(&self, meta: &MetaData, texts: &[String]) -> Vec<Input> {
        let column = &self.options.partition_column;
        declared(
            texts,
            meta.is_daily(),
            column,
            &mut self.formats.borrow_mut(),
        )
    }

    /// Adds what the author of the conf, or of the GroupBys in it, wants to be waited for besides the
    /// sources.
    fn add_overriding(&self, asset: &mut Asset, metas: &[&MetaData]) {
        let own = self.conf.conf.meta();
        let id = conf_id(self.conf.conf, own);
        let added = match self.options.dependencies.get(&id) {
            Some(texts) => {
                let mut inputs = self.declared(own, texts);
                inputs.iter_mut().for_each(|input| input.gates = false);
                inputs
            }
            None => {
                let column = &self.options.partition_column;
                overriding(metas, &asset.inputs, column, &mut self.formats.borrow_mut())
            }
        };
        asset.inputs.extend(added);
    }

    /// An asset of this conf with nothing but its name, table and team.
    fn asset(&self, mode: AssetKind, table: TableName) -> Result<Asset, TableNameError> {
        let meta = self.conf.conf.meta();
        Ok(Asset {
            id: AssetId::new(self.conf.conf.conf_type(), &meta.name, mode),
            path: PathBuf::from(self.conf.path),
            digest: self.conf.digest.to_owned(),
            team: meta.team().to_owned(),
            tags: tags(meta),
            schedule: Some(
                meta.offline_schedule
                    .clone()
                    .unwrap_or_else(|| "@daily".to_owned()),
            ),
            family: meta.output_table()?.to_string(),
            table,
            sub_partitions: Vec::new(),
            day_column: Some(self.options.partition_column.clone()),
            also_writes: Vec::new(),
            shift: 0,
            fill: if meta.latest_day_only() {
                Fill::LastDay
            } else {
                Fill::Daily
            },
            from: None,
            until: None,
            inputs: Vec::new(),
            also_reads: Vec::new(),
            embedded_group_bys: BTreeSet::new(),
            embeds: BTreeSet::new(),
            also_locks: Vec::new(),
            final_table: None,
        })
    }

    fn staging_query(&self, conf: &StagingQuery) -> Assets {
        let output = conf.meta_data.output_table()?;
        let mut asset = self.asset(AssetKind::Backfill, output.clone())?;
        asset.from = day(conf.start_partition.as_deref());
        if conf.create_view == Some(true) {
            asset.table = TableName::new(output.namespace(), SIGNAL_TABLE)?;
            asset.sub_partitions = vec![("table_name".to_owned(), output.to_string())];
            asset.also_writes = vec![SideTable::new("view", output.clone())];
            asset.fill = Fill::LastDay;
        } else if conf.start_partition.is_none() {
            asset.fill = Fill::LastDay;
        }
        let column = &self.options.partition_column;
        let read = read_by_query(conf, &[&asset.table, &output], column);
        match self.dependencies(&conf.meta_data) {
            Some(texts) => {
                asset.inputs = self.declared(&conf.meta_data, texts);
                asset.also_reads = undeclared(read, &asset.inputs);
            }
            None => asset.inputs = read,
        }
        asset.inputs.extend(macro_tables(&conf.query, column));
        Ok(vec![asset])
    }

    fn group_by(&self, conf: &GroupBy) -> Assets {
        let output = conf.meta_data.output_table()?;
        let mut assets = Vec::new();
        if let Some(start) = &conf.backfill_start_date {
            let mut asset = self.asset(AssetKind::Backfill, output.clone())?;
            asset.from = day(Some(start));
            asset.inputs = self.sources(conf, &scan_of_backfill(conf), None)?;
            for input in &mut asset.inputs {
                input.gates = !matches!(input.need, Need::Newest { .. });
            }
            self.add_overriding(&mut asset, &[&conf.meta_data]);
            self.compute_parents(&mut asset, conf)?;
            if conf.is_incremental == Some(true) {
                asset
                    .also_writes
                    .push(SideTable::new("daily_inc", output.suffixed("_daily_inc")));
            }
            assets.push(asset);
        }
        if conf.meta_data.online == Some(true) {
            assets.push(self.upload(conf, &output)?);
            assets.push(self.kv(conf, &output)?);
            if conf.sources.iter().any(|source| source.topic().is_some()) {
                assets.push(self.streaming(&output)?);
            }
        }
        Ok(assets)
    }

    fn upload(&self, conf: &GroupBy, output: &TableName) -> Result<Asset, TableNameError> {
        let mut asset = self.asset(AssetKind::Upload, output.suffixed("_upload"))?;
        asset.day_column = None;
        asset.fill = Fill::LastDay;
        asset.schedule = Some(self.upload_schedule(&conf.meta_data));
        // Offline, an upload reads the snapshot of its day and no mutations (§4.2).
        asset.inputs = self.sources(conf, &scan_of_backfill(conf), None)?;
        // Before that day it has nothing to hold.
        let starts = asset.inputs.iter().map(|input| input.from);
        let starts: Option<Vec<_>> = starts.collect();
        asset.from = starts.and_then(|starts| starts.into_iter().min());
        self.add_overriding(&mut asset, &[&conf.meta_data]);
        self.compute_parents(&mut asset, conf)?;
        if conf.is_incremental == Some(true) {
            asset
                .also_writes
                .push(SideTable::new("daily_inc", output.suffixed("_daily_inc")));
        }
        Ok(asset)
    }

    /// The table that it loads is the upload's: of one family, so that no other day is written into it
    /// meanwhile (§8.1).
    fn kv(&self, conf: &GroupBy, output: &TableName) -> Result<Asset, TableNameError> {
        let upload = output.suffixed("_upload");
        let mut asset = self.asset(AssetKind::Kv, upload.clone())?;
        asset.day_column = None;
        asset.fill = Fill::LastDay;
        asset.schedule = Some(self.upload_schedule(&conf.meta_data));
        asset.inputs = vec![self.own_table(upload, Need::SAME_DAY)];
        Ok(asset)
    }

    fn upload_schedule(&self, meta: &MetaData) -> String {
        let custom = meta.custom();
        let custom = custom[&self.options.upload_schedule_key].as_str();
        let named = meta.upload_schedule.as_deref().or(custom);
        named.unwrap_or(&self.options.upload_schedule).to_owned()
    }

    fn streaming(&self, output: &TableName) -> Result<Asset, TableNameError> {
        let mut asset = self.asset(AssetKind::Streaming, output.suffixed("_upload"))?;
        asset.day_column = None;
        asset.fill = Fill::App;
        asset.schedule = None;
        asset.family = format!("{output} (streaming)");
        asset.inputs = vec![self.own_table(output.suffixed("_upload"), Need::Table)];
        Ok(asset)
    }

    fn join(&self, conf: &Join) -> Assets {
        let output = conf.meta_data.output_table()?;
        let name = &conf.meta_data.name;
        let flow = self
            .options
            .flows
            .get(name)
            .copied()
            .unwrap_or(self.options.flow);
        let mut assets = match flow {
            JoinFlow::Whole => vec![self.whole_join(conf)?],
            JoinFlow::Modular => self.modular_join(conf)?,
        };
        if conf.has_model_transforms() {
            let mut asset = self.join_asset(conf, AssetKind::ModelTransform, output.clone())?;
            asset.inputs = vec![self.own_table(conf.backfill_table()?, Need::SAME_DAY)];
            assets.push(asset);
        }
        if let Some(label) = &conf.label_part {
            assets.push(self.label_join(conf, label)?);
        }
        assets.push(self.join_follower(
            conf,
            AssetKind::StatsSummary,
            &output,
            "_daily_stats",
            "",
        )?);
        if conf
            .meta_data
            .sample_percent
            .is_some_and(|percent| percent > 0.0)
        {
            assets.push(self.log_flattener(conf, &output)?);
            assets.push(self.join_follower(
                conf,
                AssetKind::LogSummary,
                &output,
                "_logged_daily_stats",
                "_logged",
            )?);
        }
        if checks_consistency(&conf.meta_data) {
            assets.push(self.consistency(conf, &output)?);
        }
        Ok(assets)
    }

    fn join_asset(
        &self,
        conf: &Join,
        mode: AssetKind,
        table: TableName,
    ) -> Result<Asset, TableNameError> {
        let query = conf.left.query();
        let mut asset = self.asset(mode, table)?;
        asset.from = day(query.start_partition.as_deref());
        asset.until = day(query.end_partition.as_deref());
        Ok(asset)
    }

    fn whole_join(&self, conf: &Join) -> Result<Asset, TableNameError> {
        let output = conf.meta_data.output_table()?;
        let mut asset = self.join_asset(conf, AssetKind::Backfill, conf.backfill_table()?)?;
        asset
            .also_writes
            .push(SideTable::new("left", output.suffixed("_bootstrap")));
        asset.inputs.push(self.left(conf)?);
        asset.inputs.extend(self.bootstraps(conf)?);
        for part in conf.offline_parts() {
            let table = output.suffixed(&format!("_{}", part.table_suffix));
            asset.also_writes.push(
                SideTable::new(format!("part/{}", part.full_prefix), table)
                    .shifted(part_shift(conf.left.data_model(), part.group_by)),
            );
            asset
                .embedded_group_bys
                .insert(part.group_by.meta_data.name.clone());
            asset.inputs.extend(self.part_sources(conf, &part)?);
            self.compute_parents(&mut asset, part.group_by)?;
        }
        self.add_overriding(&mut asset, &metas(conf));
        Ok(asset)
    }

    /// The Driver computes the joins that a GroupBy is chained to inside the job, wherever they have
    /// holes, with whatever inputs are there (§4.3). So they must be complete up to the last day that
    /// is read, and no job of theirs may run meanwhile: the job joins their family.
    fn compute_parents(&self, asset: &mut Asset, conf: &GroupBy) -> Result<(), TableNameError> {
        if self.options.driver.is_none() {
            return Ok(());
        }
        for source in &conf.sources {
            let Source::JoinSource(parent) = source else {
                continue;
            };
            if asset.id.mode == AssetKind::Upload && parent.join.has_model_transforms() {
                continue;
            }
            let output = parent.join.meta_data.output_table()?;
            let spec = parent.join.backfill_table()?;
            let last = asset
                .inputs
                .iter()
                .filter(|input| input.spec.table == output);
            let last = last.filter_map(|input| match input.need {
                Need::Days { hi, .. } | Need::Since { hi } | Need::Newest { hi } => Some(hi),
                Need::Table => None,
            });
            let hi = last.max().unwrap_or(0);
            let mut complete = self.own_table(spec, Need::Since { hi });
            complete.role = Role::Parent;
            complete.until = day(parent.join.left.query().end_partition.as_deref());
            asset.inputs.push(complete);
            asset.also_locks.push(output.to_string());
        }
        Ok(())
    }

    fn modular_join(&self, conf: &Join) -> Assets {
        let output = conf.meta_data.output_table()?;
        let bootstrap = output.suffixed("_bootstrap");
        let mut left = self.join_asset(conf, AssetKind::Left, bootstrap.clone())?;
        left.final_table = Some(conf.backfill_table()?);
        left.inputs.push(self.left(conf)?);
        left.inputs.extend(self.bootstraps(conf)?);

        let whole = self.whole_join(conf)?;
        let overriding = whole.inputs.into_iter();
        let overriding: Vec<Input> = overriding
            .filter(|input| input.role == Role::Dependency)
            .collect();
        left.inputs.extend(overriding.iter().cloned());

        let mut last = self.join_asset(conf, AssetKind::Final, conf.backfill_table()?)?;
        let mut cached_left = self.own_table(bootstrap, Need::SAME_DAY);
        cached_left.gates = true;
        last.inputs.push(cached_left.clone());

        let mut assets = vec![left];
        let mut tables = BTreeSet::new();
        for part in conf.offline_parts() {
            for mut input in self.part_sources(conf, &part)? {
                // `join-left` reads the schema of every source (§4.6).
                input.need = Need::Table;
                input.gates = false;
                input.follows_times = false;
                assets[0].inputs.push(input);
            }
            let table = output.suffixed(&format!("_{}", part.table_suffix));
            if !tables.insert(table.clone()) {
                continue; // Two parts with one table are one asset (§6).
            }
            let mut asset = self.join_asset(
                conf,
                AssetKind::Part(part.full_prefix.clone()),
                table.clone(),
            )?;
            asset.shift = part_shift(conf.left.data_model(), part.group_by);
            asset.family = table.to_string();
            asset.also_locks.push(output.to_string());
            asset.final_table = Some(conf.backfill_table()?);
            asset
                .embedded_group_bys
                .insert(part.group_by.meta_data.name.clone());
            asset.inputs.push(cached_left.clone());
            asset.inputs.extend(self.part_sources(conf, &part)?);
            asset.inputs.extend(overriding.iter().cloned());
            let shift = asset.shift;
            last.inputs.push(self.own_table(
                table,
                Need::Days {
                    lo: shift,
                    hi: shift,
                },
            ));
            assets.push(asset);
        }
        assets.push(last);
        Ok(assets)
    }

    /// The left side: it decides which days exist.
    fn left(&self, conf: &Join) -> Result<Input, TableNameError> {
        let mut input = self.input(
            &conf.left.table()?,
            conf.left.query(),
            Role::Left,
            Need::SAME_DAY,
        );
        input.gates = true;
        Ok(input)
    }

    fn bootstraps(&self, conf: &Join) -> Result<Vec<Input>, TableNameError> {
        let parts = conf.bootstrap_parts.iter().flatten();
        let no_query = Query::default();
        parts
            .map(|part| {
                let query = part.query.as_ref().unwrap_or(&no_query);
                Ok(self.input(&part.table.parse()?, query, Role::Bootstrap, Need::SAME_DAY))
            })
            .collect()
    }

    fn part_sources(
        &self,
        conf: &Join,
        part: &OfflinePart<'_>,
    ) -> Result<Vec<Input>, TableNameError> {
        let scan = scan_of_part(conf.left.data_model(), part.group_by);
        let mut inputs = self.sources(part.group_by, &scan, Some(&part.full_prefix))?;
        for input in &mut inputs {
            input.follows_times = conf.left.data_model() == DataModel::Events;
        }
        Ok(inputs)
    }

    fn sources(
        &self,
        conf: &GroupBy,
        scan: &Scan,
        part: Option<&str>,
    ) -> Result<Vec<Input>, TableNameError> {
        let mut inputs = Vec::new();
        for source in &conf.sources {
            let part = part.map(str::to_owned);
            let query = source.query();
            let need = if source.is_cumulative() {
                Need::Newest { hi: scan.newest }
            } else {
                scan.rows
            };
            inputs.push(self.input(
                &source.table()?,
                query,
                Role::Source { part: part.clone() },
                need,
            ));
            if let (Source::Entities(entities), Some(need)) = (source, scan.mutations)
                && let Some(table) = &entities.mutation_table
            {
                inputs.push(self.input(&table.parse()?, query, Role::Mutations { part }, need));
            }
        }
        Ok(inputs)
    }

    fn input(&self, spec: &TableSpec, query: &Query, role: Role, need: Need) -> Input {
        let column = query.partition_column.clone();
        Input {
            spec: spec.clone(),
            day_column: column
                .unwrap_or_else(|| self.options.partition_column.clone())
                .to_lowercase(),
            role,
            need,
            from: day(query.start_partition.as_deref()),
            until: day(query.end_partition.as_deref()),
            gates: false,
            follows_times: false,
            producer: None,
        }
    }

    /// A table that another step of this conf fills.
    fn own_table(&self, table: TableName, need: Need) -> Input {
        let spec = TableSpec {
            table,
            sub_partitions: Vec::new(),
        };
        self.input(&spec, &Query::default(), Role::OwnStep, need)
    }

    /// `label-join` for L: left days `L−(S−1) ..= L−(E−1)`, labels as of L (§4.2).
    fn label_join(&self, conf: &Join, label: &LabelPart) -> Result<Asset, TableNameError> {
        let output = conf.meta_data.output_table()?;
        let mut asset = self.asset(AssetKind::LabelJoin, output.suffixed("_labels"))?;
        asset.day_column = Some("label_ds".to_owned());
        asset.also_writes = vec![
            SideTable::new("view", output.suffixed("_labeled")),
            SideTable::new("view", output.suffixed("_labeled_latest")),
        ];
        asset.fill = Fill::LastDay;
        let schedule = label
            .meta_data
            .as_ref()
            .and_then(|meta| meta.offline_schedule.clone());
        asset.schedule = Some(schedule.unwrap_or_else(|| "@daily".to_owned()));
        let offset = |value: Option<i32>| 1 - value.unwrap_or(1);
        let (oldest, newest) = (
            offset(label.left_start_offset),
            offset(label.left_end_offset),
        );
        let mut joined = self.own_table(
            output,
            Need::Days {
                lo: oldest.min(newest),
                hi: newest,
            },
        );
        joined.from = day(conf.left.query().start_partition.as_deref());
        joined.until = day(conf.left.query().end_partition.as_deref());
        asset.inputs.push(joined);
        for part in &label.labels {
            let scan = scan_of_backfill(&part.group_by);
            asset
                .embedded_group_bys
                .insert(part.group_by.meta_data.name.clone());
            asset
                .inputs
                .extend(self.sources(&part.group_by, &scan, Some(&part.full_prefix()))?);
        }
        if let Some(meta) = &label.meta_data {
            let texts = meta.dependencies.as_deref().unwrap_or_default();
            asset.inputs.extend(self.declared(meta, texts));
        }
        for input in &mut asset.inputs {
            input.gates = false;
        }
        Ok(asset)
    }

    /// A table that is computed from `O<input_suffix>`, day by day.
    fn join_follower(
        &self,
        conf: &Join,
        mode: AssetKind,
        output: &TableName,
        suffix: &str,
        input_suffix: &str,
    ) -> Result<Asset, TableNameError> {
        let table = output.suffixed(suffix);
        let mut asset = self.join_asset(conf, mode, table.clone())?;
        asset.also_writes = vec![SideTable::new("upload", table.suffixed("_upload"))];
        asset.family = table.to_string();
        if !input_suffix.is_empty() {
            // Its history begins with the log, not with the left (§4.1).
            asset.from = None;
        }
        let mut input = self.own_table(output.suffixed(input_suffix), Need::SAME_DAY);
        input.gates = true;
        asset.inputs.push(input);
        Ok(asset)
    }

    /// The raw log and the table of its schemas are not part of the conf; teams.json names them.
    fn log_flattener(&self, conf: &Join, output: &TableName) -> Result<Asset, TableNameError> {
        let mut asset =
            self.join_asset(conf, AssetKind::LogFlattener, output.suffixed("_logged"))?;
        asset.family = asset.table.to_string();
        let tables = self.options.driver.as_ref();
        if let Some((log, schemas)) = tables.and_then(|driver| driver.log_tables.clone()) {
            let mut rows = self.own_table(log, Need::SAME_DAY);
            // `<team>/<conf file>` (§8.3).
            let logged = conf.meta_data.name.replacen('.', "/", 1);
            rows.spec.sub_partitions = vec![("name".to_owned(), logged)];
            rows.role = Role::Dependency;
            rows.gates = true;
            // Only the newest partition of the schemas is read (§8.3).
            let mut schemas = self.own_table(schemas, Need::Newest { hi: 0 });
            schemas.role = Role::Dependency;
            asset.inputs = vec![rows, schemas];
            // The log's first day, not the left's, is where it begins (§4.1).
            asset.from = None;
        }
        Ok(asset)
    }

    fn consistency(&self, conf: &Join, output: &TableName) -> Result<Asset, TableNameError> {
        let mut asset = self.join_follower(
            conf,
            AssetKind::Consistency,
            output,
            "_consistency",
            "_logged",
        )?;
        asset.also_writes.extend([
            SideTable::new("comparison", output.suffixed("_comparison")),
            SideTable::new("comparison left", output.suffixed("_comparison_bootstrap")),
        ]);
        for part in conf.offline_parts() {
            let table = output.suffixed(&format!("_comparison_{}", part.table_suffix));
            let part_table = SideTable::new(format!("comparison part/{}", part.full_prefix), table);
            let shift = part_shift(conf.left.data_model(), part.group_by);
            asset.also_writes.push(part_table.shifted(shift));
            asset.inputs.extend(self.part_sources(conf, &part)?);
        }
        Ok(asset)
    }
}

fn conf_id(conf: AnyConf<'_>, meta: &MetaData) -> ConfId {
    ConfId {
        conf_type: conf.conf_type(),
        name: meta.name.clone(),
    }
}

/// The `metaData` of a join, and of the GroupBys and bootstraps in it.
fn metas(conf: &Join) -> Vec<&MetaData> {
    let parts = conf.offline_parts();
    let parts = parts.map(|part| &part.group_by.meta_data);
    let own = std::iter::once(&conf.meta_data);
    own.chain(parts).chain(conf.bootstrap_metas()).collect()
}

/// The table of signal partitions of views (§3).
const SIGNAL_TABLE: &str = "chronon_signal_partitions";

/// `key` and `key=value` of every `…_tags` object in `customJson` but the per-column ones (§1.4).
fn tags(meta: &MetaData) -> BTreeSet<String> {
    let custom = meta.custom();
    let groups = ["join_tags", "groupby_tags", "tags"];
    let objects = groups
        .iter()
        .filter_map(|group| custom.get(*group)?.as_object());
    objects
        .flatten()
        .flat_map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            [key.clone(), format!("{key}={text}")]
        })
        .collect()
}

/// Whether `customJson.check_consistency` is true (§1.4).
fn checks_consistency(meta: &MetaData) -> bool {
    meta.custom()
        .get("check_consistency")
        .and_then(serde_json::Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests;
