//! From the graph to the manifest: which asset is a task of which DAG, when, and after what.

use std::collections::BTreeMap;

use chronon_run_core::{AssetKind, ConfType, Ds, Schedule};
use chronon_run_plan::{Asset, AssetIndex, Fill, Role};
use chronon_run_workspace::Airflow;

use super::{
    cadence::{DAILY, NEVER, cadence, is_daily, suffix},
    input::AirflowExport,
    manifest::{Dag, DagKind, Manifest, Task, TaskArgs, When},
    names,
};

/// Why there are no DAGs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AirflowError {
    /// Two DAGs would have one id.
    #[error(
        "two DAGs would be called `{id}`; give the teams or joins names that differ in more than punctuation"
    )]
    SameDag {
        /// The id.
        id: String,
    },
    /// Two tasks of one DAG would have one id.
    #[error(
        "two tasks of `{dag}` would be called `{id}`; give the confs names that differ in more than punctuation"
    )]
    SameTask {
        /// The DAG.
        dag: String,
        /// The task's id.
        id: String,
    },
    /// Airflow keeps ids in columns of 250 characters.
    #[error("Airflow takes ids of {MAX_ID} characters at most: `{id}`")]
    LongId {
        /// The id.
        id: String,
    },
}

const MAX_ID: usize = 250;
/// Airflow's own default; only as many are at work as days are open.
const MAX_ACTIVE_RUNS: u32 = 16;

/// Every DAG of the workspace.
pub(super) fn manifest(export: &AirflowExport<'_>) -> Result<Manifest, AirflowError> {
    let Airflow {
        poke_every,
        sensor_timeout,
        retry_delay,
        ..
    } = export.settings;
    let mut dags = Dags {
        export,
        places: BTreeMap::new(),
        by_place: BTreeMap::new(),
    };
    for index in 0..export.graph.assets.len() {
        dags.add(index);
    }
    let mut manifest = Manifest {
        timezone: export.timezone.to_owned(),
        poke_interval: poke_every.as_secs(),
        sensor_timeout: sensor_timeout.as_secs(),
        locked_poke_interval: retry_delay.as_secs(),
        teams: export.operators.map(|operators| operators.teams.clone()),
        dags: BTreeMap::new(),
    };
    for (place, dag) in dags.by_place {
        manifest.dags.entry(place.kind).or_default().push(dag);
    }
    if let Some(dag) = metadata_upload(export) {
        manifest.dags.insert(DagKind::MetadataUpload, vec![dag]);
    }
    check_ids(&manifest)?;
    Ok(manifest)
}

/// Whose DAG, and when it runs: what distinguishes one from another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    kind: DagKind,
    owner: String,
    cadence: String,
}

struct Dags<'a> {
    export: &'a AirflowExport<'a>,
    /// Where the assets that are tasks are.
    places: BTreeMap<AssetIndex, Place>,
    by_place: BTreeMap<Place, Dag>,
}

impl Dags<'_> {
    fn add(&mut self, index: AssetIndex) {
        let asset = &self.export.graph.assets[index];
        if self.export.left_out.contains(&asset.id) {
            return;
        }
        let Some(place) = self.place(asset) else {
            return;
        };
        let name = self.name(asset);
        let mut tasks = vec![self.task(asset, &place, &name)];
        tasks.extend(self.own_kv_task(asset, &place, &name));
        let new = self.dag(&place, asset);
        let dag = self.by_place.entry(place.clone()).or_insert(new);
        dag.tasks.append(&mut tasks);
        self.places.insert(index, place);
    }

    fn name(&self, asset: &Asset) -> String {
        names::normalized(&asset.id.conf.name, self.export.time_parts)
    }

    /// The DAG of an asset; `None` if nothing calls for it on its own.
    fn place(&self, asset: &Asset) -> Option<Place> {
        let kind = kind(asset);
        let cadence = match kind {
            DagKind::Streaming => String::new(),
            // Logs come every day, whatever the join's own schedule.
            DagKind::LogFlattening | DagKind::Consistency => DAILY.to_owned(),
            DagKind::Stats if asset.schedule.as_deref() != Some(NEVER) => DAILY.to_owned(),
            _ => cadence(asset.schedule.as_deref().unwrap_or(DAILY)).to_owned(),
        };
        if cadence == NEVER || !(cadence.is_empty() || cadence.parse::<Schedule>().is_ok()) {
            return None;
        }
        let owner = match kind {
            DagKind::Join | DagKind::LabelJoin | DagKind::Consistency => self.name(asset),
            DagKind::Stats | DagKind::MetadataUpload => String::new(),
            DagKind::Batch
            | DagKind::Streaming
            | DagKind::StagingQuery
            | DagKind::LogFlattening => asset.team.clone(),
        };
        Some(Place {
            kind,
            owner,
            cadence,
        })
    }

    fn dag(&self, place: &Place, first: &Asset) -> Dag {
        let settings = self.export.settings;
        let mut dag_id = names::dag_id(place.kind, settings.naming, &place.owner);
        let is_shared = !matches!(place.kind, DagKind::Join | DagKind::LabelJoin);
        if is_shared && place.kind != DagKind::Streaming {
            dag_id.push_str(&suffix(&place.cadence));
        }
        let team = (place.kind != DagKind::Stats).then_some(first.team.as_str());
        let mut dag = Dag {
            dag_id,
            description: place.kind.about().to_owned(),
            schedule: When::Cron(place.cadence.clone()),
            start_date: self.export.start_date(team),
            max_active_runs: MAX_ACTIVE_RUNS,
            max_active_tasks: settings.group_by_concurrency,
            dagrun_timeout: settings.dagrun_timeout.as_secs(),
            tags: std::iter::once("chronon")
                .chain(team)
                .map(str::to_owned)
                .collect(),
            tasks: Vec::new(),
        };
        match place.kind {
            DagKind::Join => dag.max_active_tasks = settings.join_concurrency,
            DagKind::Streaming => {
                let every = settings.streaming_every.as_secs();
                dag.schedule = When::Every(every);
                dag.dagrun_timeout = every;
                dag.max_active_runs = 1;
            }
            _ => {}
        }
        dag
    }

    fn task(&self, asset: &Asset, place: &Place, name: &str) -> Task {
        let id = asset.id.to_string();
        let args = self.export.args(Some(&asset.team));
        if asset.fill == Fill::App {
            return Task {
                argv: self.export.command(&["stream", &id]),
                args: self.export.streaming_args(args),
                ..bare(names::task_id(&asset.id, name))
            };
        }
        let task_id = names::task_id(&asset.id, name);
        let run = ["materialize", &id, "--end-ds={ds}", "--as-of={ds}"];
        let ready = ["ready", &id, "--ds={ds}", "--output=json"];
        let (after, waits) = self.order(asset, place);
        Task {
            argv: self.export.command(&run),
            ready: Some(self.export.command(&ready)),
            sensor_id: waits.then(|| names::sensor_id(&task_id)),
            // A newer run fills the older days too only if it fills holes, and runs every day.
            newest: asset.fill == Fill::Daily && is_daily(&place.cadence),
            after,
            args,
            ..bare(task_id)
        }
    }

    /// The tasks of the same conf and DAG whose tables an asset reads, and whether it reads others.
    fn order(&self, asset: &Asset, place: &Place) -> (Vec<String>, bool) {
        let mut after = Vec::new();
        let mut waits = false;
        for input in &asset.inputs {
            let own = input.producer.filter(|producer| {
                input.role == Role::OwnStep && self.places.get(producer) == Some(place)
            });
            let Some(producer) = own else {
                waits = true;
                continue;
            };
            let producer = &self.export.graph.assets[producer];
            let id = names::task_id(&producer.id, &self.name(producer));
            if !after.contains(&id) {
                after.push(id);
            }
        }
        (after, waits)
    }

    /// The place of the user's own operator after an upload.
    fn own_kv_task(&self, asset: &Asset, place: &Place, name: &str) -> Option<Task> {
        let confs = &self.export.operators?.confs;
        let conf = confs.get(&asset.id.conf.name);
        let conf =
            conf.filter(|_| asset.id.mode == AssetKind::Upload && place.kind == DagKind::Batch);
        Some(Task {
            after: vec![names::task_id(&asset.id, name)],
            args: self.export.args(Some(&asset.team)),
            conf: Some(conf?.clone()),
            ..bare(names::kv_id(name))
        })
    }
}

fn kind(asset: &Asset) -> DagKind {
    match (asset.id.conf.conf_type, &asset.id.mode) {
        (ConfType::StagingQuery, _) => DagKind::StagingQuery,
        (ConfType::GroupBy, AssetKind::Streaming) => DagKind::Streaming,
        (ConfType::GroupBy, _) => DagKind::Batch,
        (ConfType::Join, AssetKind::LabelJoin) => DagKind::LabelJoin,
        (ConfType::Join, AssetKind::StatsSummary) => DagKind::Stats,
        (ConfType::Join, AssetKind::LogFlattener | AssetKind::LogSummary) => DagKind::LogFlattening,
        (ConfType::Join, AssetKind::Consistency) => DagKind::Consistency,
        (ConfType::Join, _) => DagKind::Join,
    }
}

/// The DAG that publishes the confs, if the workspace says how.
fn metadata_upload(export: &AirflowExport<'_>) -> Option<Dag> {
    let settings = export.settings;
    let task = Task {
        argv: settings.metadata_upload.clone()?,
        args: export.args(None),
        ..bare(names::METADATA_UPLOAD.to_owned())
    };
    Some(Dag {
        dag_id: names::dag_id(DagKind::MetadataUpload, settings.naming, ""),
        description: DagKind::MetadataUpload.about().to_owned(),
        schedule: When::Cron(DAILY.to_owned()),
        start_date: export.start_date(None),
        max_active_runs: 1,
        max_active_tasks: 1,
        dagrun_timeout: settings.dagrun_timeout.as_secs(),
        tags: vec!["chronon".to_owned()],
        tasks: vec![task],
    })
}

/// A task that does nothing yet.
fn bare(task_id: String) -> Task {
    Task {
        task_id,
        argv: Vec::new(),
        ready: None,
        sensor_id: None,
        newest: false,
        after: Vec::new(),
        args: TaskArgs::default(),
        conf: None,
    }
}

impl AirflowExport<'_> {
    /// chronon-run with `words`, in the workspace.
    fn command(&self, words: &[&str]) -> Vec<String> {
        let folder = self.workspace.display().to_string();
        let words = words.iter().map(|&word| word.to_owned());
        let place = ["-C".to_owned(), folder];
        let program = self.settings.command.iter().cloned();
        program.chain(place).chain(words).collect()
    }

    /// A text of the team's entry in teams.json, else of `default`'s.
    fn team_text(&self, team: Option<&str>, key: &str) -> Option<String> {
        let text = self.teams.text(team?, key)?;
        Some(text.to_owned())
    }

    fn start_date(&self, team: Option<&str>) -> Ds {
        let own = self.team_text(team, "dag_start_date");
        let own = own.and_then(|day| day.parse().ok());
        own.unwrap_or(self.settings.start_date)
    }

    fn args(&self, team: Option<&str>) -> TaskArgs {
        let settings = self.settings;
        let mut emails = settings.emails.clone();
        emails.extend(self.maintainers(team));
        emails.sort();
        emails.dedup();
        let owner = self.team_text(team, "team_name");
        TaskArgs {
            owner: owner.unwrap_or_else(|| settings.owner.clone()),
            emails,
            queue: self
                .team_text(team, "airflow_queue")
                .or_else(|| settings.queue.clone()),
            pool: settings.pool.clone(),
            retries: settings.retries,
            retry_delay: settings.retry_delay.as_secs(),
        }
    }

    fn streaming_args(&self, args: TaskArgs) -> TaskArgs {
        let queue = self.settings.streaming_queue.clone();
        TaskArgs {
            queue: queue.or(args.queue),
            ..args
        }
    }

    /// `maintainer_emails`: a list, or a text with one.
    fn maintainers(&self, team: Option<&str>) -> Vec<String> {
        let value = team.and_then(|team| self.teams.value(team, "maintainer_emails"));
        let texts = value.and_then(|value| value.as_array()).map_or_else(
            || value.and_then(|value| value.as_str()).into_iter().collect(),
            |items| {
                items
                    .iter()
                    .filter_map(|item| item.as_str())
                    .collect::<Vec<_>>()
            },
        );
        texts.into_iter().map(str::to_owned).collect()
    }
}

fn check_ids(manifest: &Manifest) -> Result<(), AirflowError> {
    let mut dags = std::collections::BTreeSet::new();
    for dag in manifest.dags.values().flatten() {
        if !dags.insert(&dag.dag_id) {
            let id = dag.dag_id.clone();
            return Err(AirflowError::SameDag { id });
        }
        let mut tasks = std::collections::BTreeSet::new();
        let sensors = dag.tasks.iter().filter_map(|task| task.sensor_id.as_ref());
        for id in dag.tasks.iter().map(|task| &task.task_id).chain(sensors) {
            if !tasks.insert(id) {
                let (dag, id) = (dag.dag_id.clone(), id.clone());
                return Err(AirflowError::SameTask { dag, id });
            }
        }
        for id in tasks.into_iter().chain([&dag.dag_id]) {
            if id.len() > MAX_ID {
                return Err(AirflowError::LongId { id: id.clone() });
            }
        }
    }
    Ok(())
}
