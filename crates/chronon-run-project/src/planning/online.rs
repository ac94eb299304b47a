//! The path of each online GroupBy: newest offline day → upload → KV store → stream → consistency.

use std::collections::BTreeMap;

use chronon_run_core::{AssetId, AssetKind, Ds};
use chronon_run_export::{Link, PathFacts, StreamFacts, links};
use chronon_run_ledger::Ledger;
use chronon_run_plan::{Asset, Input, State};
use serde::Serialize;

use crate::{
    failure::Failure,
    listing::session::CatalogSession,
    loading::project::Project,
    options::SelectArgs,
    output::note,
    planning::{
        due::{Now, last_due},
        prepared::{Planned, Wanted, uploaded},
    },
    program::now_millis,
    streaming::{AppStatus, Health},
};

/// The path of one online GroupBy from its sources to the fetcher.
#[derive(Serialize)]
pub struct Online {
    /// The name of the GroupBy.
    pub group_by: String,
    /// The last day that all its sources have, up to the last one that its upload is due for.
    offline: Option<Ds>,
    /// The day that the upload table holds.
    upload: Option<Ds>,
    /// The newest day that was loaded into the KV store.
    kv: Option<Ds>,
    /// Whether loads are made here: there is a hook `kv_upload`. Of others nothing is known.
    kv_hook: bool,
    /// How its streaming app is; `None` if it needs none.
    stream: Option<Health>,
    /// The last day on which what was fetched was compared, in any join that has it; `None` if none
    /// compares.
    consistency: Option<Progress>,
    /// The first link of these that is behind or not there; `None` if all is well.
    missing: Option<String>,
    /// Each link with its age, and where it is late.
    pub links: Vec<Link>,
}

/// How far a comparison of fetched features has come.
#[derive(Serialize)]
struct Progress {
    join: String,
    /// The last day, if there is one.
    newest: Option<Ds>,
}

/// The path of every online GroupBy whose upload is planned.
pub fn paths(
    context: &Project,
    planned: &Planned<'_>,
    now: Now,
    loaded: &BTreeMap<AssetId, Ds>,
    streams: &[AppStatus],
) -> Vec<Online> {
    let uploads = planned.plan.assets.iter().filter_map(|planned| {
        let index = context.graph.find(&planned.asset)?;
        let asset = &context.graph.assets[index];
        (asset.id.mode == AssetKind::Upload).then_some((index, asset))
    });
    uploads
        .map(|(index, upload)| {
            let uploaded = loaded.get(&upload.id).copied();
            // Of one that is never due, what it has is all there is to expect.
            let due = last_due(context, now, index).or(uploaded);
            let name = upload.id.conf.name.clone();
            let offline = last_of_sources(upload, planned);
            let offline = offline.map(|day| due.map_or(day, |due| day.min(due)));
            let kv = AssetId::new(upload.id.conf.conf_type, &name, AssetKind::Kv);
            let app = streams.iter().find(|app| app.asset.conf.name == name);
            let mut online = Online {
                offline,
                upload: uploaded,
                kv: loaded.get(&kv).copied(),
                kv_hook: context.workspace.hooks.kv_upload.is_some(),
                stream: app.map(|app| app.health),
                consistency: compared(context, planned, &name),
                group_by: name,
                missing: None,
                links: Vec::new(),
            };
            online.missing = online.missing(due);
            online.links = links(&online.facts(context, now, due, app));
            online
        })
        .collect()
}

/// The paths of the GroupBys of `states`, without anything being installed. That the catalog does not answer is
/// reported, and there is none.
pub fn of_apps(
    context: &Project,
    ledger: Option<&mut Ledger>,
    states: &[AppStatus],
) -> Vec<Online> {
    let found = looked_up(context, ledger, states);
    found.unwrap_or_else(|failure| {
        if let Failure::Setup { message, .. } | Failure::OutOfReach { message } = &failure {
            note(&format!("how far the uploads are is not known: {message}"));
        }
        Vec::new()
    })
}

/// An app, and the path of its GroupBy.
#[derive(Serialize)]
pub struct WithPath<'a> {
    #[serde(flatten)]
    app: &'a AppStatus,
    /// Each link of the path with its age; empty if nothing is known of it.
    path: &'a [Link],
}

/// Each app with the path of its GroupBy.
#[must_use]
pub fn with_paths<'a>(states: &'a [AppStatus], paths: &'a [Online]) -> Vec<WithPath<'a>> {
    let with = |app: &'a AppStatus| {
        let mut paths = paths.iter();
        let path = paths.find(|path| path.group_by == app.asset.conf.name);
        let path = path.map_or(&[][..], |path| &path.links);
        WithPath { app, path }
    };
    states.iter().map(with).collect()
}

fn looked_up(
    context: &Project,
    ledger: Option<&mut Ledger>,
    states: &[AppStatus],
) -> Result<Vec<Online>, Failure> {
    let mut ledger = ledger;
    let selected = |asset: &Asset| {
        let named = |app: &AppStatus| match asset.id.mode {
            AssetKind::Upload => asset.id.conf == app.asset.conf,
            AssetKind::Consistency => asset.embedded_group_bys.contains(&app.asset.conf.name),
            _ => false,
        };
        states.iter().any(named)
    };
    let assets = context.graph.assets.iter().filter(|asset| selected(asset));
    let select: Vec<String> = assets.map(|asset| asset.id.to_string()).collect();
    if select.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = Wanted {
        select: SelectArgs {
            select,
            ..SelectArgs::default()
        },
        every_mode: true,
        ..Wanted::default()
    };
    let Some(warehouse) = CatalogSession::look_without_install(&context.workspace)? else {
        return Ok(Vec::new());
    };
    let planned = Planned::make(context, &wanted, &warehouse, ledger.as_deref_mut())?;
    let loaded = ledger.map(uploaded).unwrap_or_default();
    let now = context.workspace.as_of.map_or(Now::Clock, Now::After);
    Ok(paths(context, &planned, now, &loaded, states))
}

/// The comparison that has come least far, of all joins that have this GroupBy.
fn compared(context: &Project, planned: &Planned<'_>, group_by: &str) -> Option<Progress> {
    let comparisons = planned.plan.assets.iter().filter_map(|planned| {
        let asset = &context.graph.assets[context.graph.find(&planned.asset)?];
        let wanted =
            asset.id.mode == AssetKind::Consistency && asset.embedded_group_bys.contains(group_by);
        wanted.then(|| Progress {
            join: asset.id.conf.name.clone(),
            newest: planned.days_in(State::Done).last(),
        })
    });
    comparisons.min_by_key(|compared| compared.newest)
}

/// The last day that every source of an upload has.
fn last_of_sources(upload: &Asset, planned: &Planned<'_>) -> Option<Ds> {
    let last = |input: &Input| {
        let spec = &input.spec;
        let snapshot = &planned.snapshot;
        let days = snapshot.days(&spec.table, &input.day_column, &spec.sub_partitions);
        // A source that has ended is complete.
        let last = days.last();
        if last.is_some() && last >= input.until && input.until.is_some() {
            return Some(planned.plan.as_of);
        }
        last
    };
    let days: Option<Vec<Ds>> = upload.inputs.iter().map(last).collect();
    days?.into_iter().min()
}

impl Online {
    /// The first link that is behind `due`, the last day its upload is due for, or not there.
    fn missing(&self, due: Option<Ds>) -> Option<String> {
        let Some(offline) = self.offline else {
            return Some("a day that all its sources have".to_owned());
        };
        if due.is_some() && self.upload.is_none_or(|upload| upload < offline) {
            return Some(format!("the upload of {offline}"));
        }
        if self.kv_hook && self.kv < self.upload {
            let day = self.upload.unwrap_or(offline);
            return Some(format!("the load of {day} into the KV store"));
        }
        if let Some(health) = self.stream
            && health != Health::Running
        {
            return Some(format!("the streaming app, which {}", health_text(health)));
        }
        if let Some(Progress { join, newest: None }) = &self.consistency {
            return Some(format!("a comparison of what {join} fetched"));
        }
        let due = due.filter(|due| offline < *due)?;
        Some(format!("sources of {due}"))
    }

    fn facts(
        &self,
        context: &Project,
        now: Now,
        due: Option<Ds>,
        app: Option<&AppStatus>,
    ) -> PathFacts {
        let settings = &context.workspace.streaming;
        let stream = app.map(|app| {
            let progress = app.progress.as_ref();
            let well = matches!(app.health, Health::Running | Health::Starting);
            StreamFacts {
                progress_at: app.alive_at,
                rows_per_second: progress.and_then(|it| it.processed_rows_per_second),
                lag_records: progress.and_then(|it| it.lag.records),
                lag_millis: progress.and_then(|it| it.lag.millis),
                late_after: i64::try_from(settings.stalled_after.as_millis()).unwrap_or(i64::MAX),
                trouble: (!well).then(|| health_text(app.health).to_owned()),
            }
        });
        PathFacts {
            now: match now {
                Now::Clock => now_millis(),
                Now::After(ds) => ds.plus(1).start_millis(),
            },
            offline: self.offline,
            upload: self.upload,
            kv: self.kv,
            kv_here: self.kv_hook,
            due,
            stream,
            consistency: self.consistency.as_ref().map(|compared| compared.newest),
        }
    }

    /// One line: each link with its age, then the first one that is missing.
    pub fn text(&self) -> String {
        let day = |day: Option<Ds>| day.map_or_else(|| "none".to_owned(), |day| day.to_string());
        let shown = |link: &Link| match link.link {
            "kv" if !self.kv_hook && self.kv.is_none() => "KV not loaded here".to_owned(),
            "kv" => format!("KV {}{}", day(link.day), link.text()),
            "stream" => {
                let health = self.stream.map_or("", health_text);
                format!("stream {health}{}", link.text())
            }
            name => format!("{name} {}{}", day(link.day), link.text()),
        };
        let links: Vec<String> = self.links.iter().map(shown).collect();
        let text = format!("{}: {}", self.group_by, links.join(" → "));
        match &self.missing {
            Some(missing) => format!("{text}; missing: {missing}\n"),
            None => text + "\n",
        }
    }
}

/// How an app is, as the end of a sentence.
pub fn health_text(health: Health) -> &'static str {
    match health {
        Health::Running => "runs",
        Health::Stalled => "is stalled",
        Health::Over => "lives, but its query is over",
        Health::Outdated => "was started with another conf, jar, class or settings",
        Health::Starting => "is starting",
        Health::Unlisted => "lives and is not listed",
        Health::Twice => "runs twice",
        Health::Absent => "does not run",
        Health::NotUploaded => "waits for the first upload",
        Health::BackingOff => "died soon and will be started again",
        Health::GivenUp => "died too often",
    }
}
