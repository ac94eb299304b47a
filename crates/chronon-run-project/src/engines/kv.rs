//! Loading uploads into a KV store: the hook `kv_upload` as a step (§8.1).
//!
//! It fills no table: it is done when the user's loader exits with 0, and the ledger
//! remembers. It shares the upload's family, so no other step writes the table that it reads.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chronon_run_core::{
    AssetId, AssetKind, CommandLine, Ds, RangeSet, TableName,
    event::{Outcome, StepIndex},
};
use chronon_run_exec::{Job, RetryDecision, Task, TaskKind, Verdict, Work, WorkError};
use chronon_run_plan::{Asset, Step};

use crate::{
    engines::{
        retrying,
        sql_work::{look, step_folder},
    },
    listing::session::CatalogSession,
    loading::project::Project,
    runs::hooks,
};

/// What is said of every `kv` asset without the hook.
pub const NO_HOOK: &str = "no KV loader is configured: set `kv_upload` under [hooks]";

/// Milliseconds of a day.
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// The work of an engine, and that of the hook.
pub struct WithKv<'a> {
    pub(crate) engine: Box<dyn Work + 'a>,
    pub(crate) context: &'a Project,
    pub(crate) warehouse: &'a CatalogSession,
    /// The run's folder.
    pub folder: PathBuf,
    /// The plan's steps, by index.
    pub steps: &'a [Step],
    /// Loads whose last attempt failed.
    pub failed: Mutex<BTreeSet<StepIndex>>,
}

fn is_kv(job: &Job) -> bool {
    job.asset.mode == AssetKind::Kv
}

impl Work for WithKv<'_> {
    fn inner(&self) -> Option<&dyn Work> {
        Some(&*self.engine)
    }

    fn prepare(&self, job: &Job, attempt: u32) -> Result<Task, WorkError> {
        if !is_kv(job) {
            return self.engine.prepare(job, attempt);
        }
        let failed = |why: String| WorkError::Failed(why);
        let asset = self
            .context
            .graph
            .find(&job.asset)
            .map(|index| &self.context.graph.assets[index])
            .ok_or_else(|| failed(format!("there is no asset {}", job.asset)))?;
        let location = self.location(&asset.table)?;
        let command = command(self.context, asset, job.range.end, location)
            .ok_or_else(|| failed(NO_HOOK.to_owned()))?;
        let folder = step_folder(&self.folder, self.steps, job);
        fs::create_dir_all(&folder)
            .map_err(|error| failed(format!("cannot write {}: {error}", folder.display())))?;
        self.failed().remove(&job.step);
        Ok(Task {
            command,
            log: folder.join(format!("attempt-{attempt}.log")),
            kind: TaskKind::Process,
        })
    }

    fn verify(&self, job: &Job) -> Result<Verdict, WorkError> {
        if !is_kv(job) {
            return self.engine.verify(job);
        }
        // The loader's own word: there is nothing to look at.
        let wanted = RangeSet::from(job.range);
        let (filled, missing) = match self.failed().contains(&job.step) {
            true => (RangeSet::new(), wanted),
            false => (wanted, RangeSet::new()),
        };
        Ok(Verdict {
            filled,
            missing,
            ..Verdict::default()
        })
    }

    fn explain(&self, job: &Job, log: &Path, outcome: &Outcome) -> Option<String> {
        match is_kv(job) {
            true => retrying::explain_any(log, outcome),
            false => self.engine.explain(job, log, outcome),
        }
    }

    fn settle(&self, job: &Job, log: &Path, outcome: &Outcome) -> Result<(), String> {
        if !is_kv(job) {
            return self.engine.settle(job, log, outcome);
        }
        self.failed().insert(job.step);
        Ok(())
    }

    fn retry(&self, job: &Job, outcome: &Outcome, log: Option<&Path>) -> RetryDecision {
        match (is_kv(job), outcome) {
            (false, _) => self.engine.retry(job, outcome, log),
            (true, Outcome::NotStarted | Outcome::Panicked) => RetryDecision::GiveUp,
            (true, _) => RetryDecision::Retry,
        }
    }
}

impl WithKv<'_> {
    fn failed(&self) -> MutexGuard<'_, BTreeSet<StepIndex>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the files of the upload table are, as the catalog says now.
    fn location(&self, table: &TableName) -> Result<Option<String>, WorkError> {
        let snapshot = look(self.warehouse, &[(table.clone(), Vec::new())])?;
        let state = snapshot
            .table(table)
            .ok_or_else(|| WorkError::Failed(format!("{table} does not exist any more")))?;
        Ok(state.info.location.clone())
    }
}

/// The loader's command line; a location that is not known stays `{location}`. `None` without a hook.
pub fn command(
    context: &Project,
    asset: &Asset,
    ds: Ds,
    location: Option<String>,
) -> Option<CommandLine> {
    let template = context.workspace.hooks.kv_upload.as_ref()?;
    let batch_end = i64::from(ds.plus(1).epoch_days()) * DAY;
    let mut values = vec![
        ("table", asset.table.to_string()),
        ("ds", ds.to_string()),
        ("dataset", dataset(&asset.id)),
        ("batch_end", batch_end.to_string()),
    ];
    values.extend(location.map(|location| ("location", location)));
    Some(CommandLine {
        argv: hooks::fill(template, &values),
        env: Vec::new(),
        cwd: Some(context.workspace.root.clone()),
    })
}

/// The data set of a GroupBy's batch values (§3): its clean name in capitals, `_BATCH`.
pub fn dataset(asset: &AssetId) -> String {
    let clean = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => c.to_ascii_uppercase(),
        _ => '_',
    };
    let name: String = asset.conf.name.chars().map(clean).collect();
    format!("{name}_BATCH")
}
