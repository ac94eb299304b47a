//! Targets: the same workspace, whose outputs go to namespaces of their own. A context is turned into that
//! of a target once; everything after that plans and runs the target's confs and keeps their history apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use chronon_run_conf::target::{Retarget, SAMPLE_PROPERTY, Sample, TARGET_PROPERTY};
use chronon_run_core::{
    AssetId, CatalogSnapshot, ConfId, ConfType, Diagnostic, Location, TableName,
};
use chronon_run_engine::keys;
use chronon_run_exec::WorkError;
use chronon_run_plan::{Asset, Graph, Plan};
use chronon_run_spark::statements::Statements;
use chronon_run_workspace::{Hooks, Target, Workspace};

use crate::{
    failure::Failure,
    listing::{seeds, session::CatalogSession},
    loading::{in_target::InTarget, project::Project},
    options::{SampleArgs, SelectArgs},
    output::note,
};

/// Which assets a command without selectors means in a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unselected {
    /// Every table that a selection of everything fills.
    All,
    /// Those whose tables exist there.
    Built,
}

/// The workspace of the current directory, for a target if one is named.
pub fn load(
    target: Option<&str>,
    select: &SelectArgs,
    unselected: Unselected,
) -> Result<Project, Failure> {
    let context = Project::load()?;
    enter(context, target, select, unselected, None)
}

/// The context of a target; `context` itself if none is named.
pub fn enter(
    context: Project,
    target: Option<&str>,
    select: &SelectArgs,
    unselected: Unselected,
    sample: Option<Sample>,
) -> Result<Project, Failure> {
    let Some(name) = target else {
        return Ok(context);
    };
    let settings = named(&context.workspace, name)?;
    let namespaces = namespaces(settings, &context.workspace, &context.graph)?;
    let entering = Entering {
        name,
        production: production(&context.graph),
        namespaces,
        warehouse: CatalogSession::look(&context.workspace)?,
        context,
        sample,
    };
    entering.context(select, unselected)
}

/// A context of production on its way to that of a target.
struct Entering<'n> {
    name: &'n str,
    context: Project,
    namespaces: BTreeMap<String, String>,
    production: BTreeSet<TableName>,
    warehouse: CatalogSession,
    sample: Option<Sample>,
}

impl Entering<'_> {
    fn context(self, select: &SelectArgs, unselected: Unselected) -> Result<Project, Failure> {
        let existing = self.existing()?;
        let selected = self.selected(select, unselected, &existing)?;
        self.check_sample(&selected)?;
        let retarget = self.retarget(&selected, &existing)?;
        let derived = retarget.apply(&self.context.repo);
        let mut workspace = self.context.workspace.clone();
        let seeds = workspace.seeds.iter();
        let seeds = seeds.filter_map(|seed| self.own(&seed.table)).collect();
        rename(&mut workspace, &retarget);
        let target = InTarget {
            name: self.name.to_owned(),
            namespaces: self.namespaces,
            sample: self.sample,
            production: self.production,
            seeds,
            refused: derived.refused,
            selected: (select.clone(), selected),
        };
        Ok(self
            .context
            .in_target(workspace, derived.repo, &retarget, target))
    }

    /// The target's table of one of production's.
    fn own(&self, table: &TableName) -> Option<TableName> {
        let namespace = self.namespaces.get(table.namespace())?;
        TableName::new(namespace, table.name()).ok()
    }

    /// The tables of production that the target has, too.
    fn existing(&self) -> Result<BTreeSet<TableName>, Failure> {
        let Some(catalog) = self.warehouse.catalog() else {
            return Ok(BTreeSet::new());
        };
        let pairs = self.production.iter();
        let pairs: Vec<(&TableName, TableName)> = pairs
            .filter_map(|table| Some((table, self.own(table)?)))
            .collect();
        let requests: Vec<_> = pairs
            .iter()
            .map(|(_, own)| (own.clone(), Vec::new()))
            .collect();
        let found = catalog.snapshot(&requests).map_err(Failure::setup)?;
        let found = pairs
            .into_iter()
            .filter(|(_, own)| found.table(own).is_some());
        Ok(found.map(|(table, _)| table.clone()).collect())
    }

    fn selected(
        &self,
        select: &SelectArgs,
        unselected: Unselected,
        existing: &BTreeSet<TableName>,
    ) -> Result<BTreeSet<AssetId>, Failure> {
        let built = select.is_empty() && unselected == Unselected::Built;
        let assets = &self.context.graph.assets;
        let found = self.context.select(select, built)?.into_iter();
        let found = found.filter(|&index| !built || existing.contains(&assets[index].table));
        Ok(found.map(|index| assets[index].id.clone()).collect())
    }

    /// Refuses a sample of which nothing that is selected is computed.
    fn check_sample(&self, selected: &BTreeSet<AssetId>) -> Result<(), Failure> {
        let Some(sample) = &self.sample else {
            return Ok(());
        };
        let kinds: BTreeSet<ConfType> = selected.iter().map(|id| id.conf.conf_type).collect();
        unsampled(sample, &kinds).map_or(Ok(()), Err)
    }

    /// Which references go to the target: those to what is selected, to what exists there, and to seeds
    /// that production does not have as their files are now.
    fn retarget(
        &self,
        selected: &BTreeSet<AssetId>,
        existing: &BTreeSet<TableName>,
    ) -> Result<Retarget, Failure> {
        let confs: BTreeSet<&ConfId> = selected.iter().map(|asset| &asset.conf).collect();
        let assets = self.context.graph.assets.iter();
        let filled = assets
            .filter(|asset| confs.contains(&asset.id.conf))
            .flat_map(|asset| asset.may_write(false));
        let seeds = seeds::not_loaded(&self.context, &self.warehouse)?;
        let all = existing.iter().cloned().chain(filled).chain(seeds);
        let tables = all.filter_map(|table| Some((table.clone(), self.own(&table)?)));
        Ok(Retarget {
            tables: tables.collect(),
            namespaces: self.namespaces.clone(),
            properties: vec![(TARGET_PROPERTY.to_owned(), self.name.to_owned())],
            sample: self.sample.clone(),
            day_column: self.context.workspace.partition_column.clone(),
        })
    }
}

/// Why a sample means nothing where confs of these kinds are selected.
fn unsampled(sample: &Sample, kinds: &BTreeSet<ConfType>) -> Option<Failure> {
    if kinds.contains(&ConfType::Join) {
        return None;
    }
    match sample {
        Sample::LeftRows(_) => Some(Failure::hinted(
            "--limit-left limits the left rows of joins, and no join is selected",
            "select a join, or use --sample or --keys, which limit the keys of GroupBys, too",
        )),
        Sample::Share(_) | Sample::Keys(_) if kinds.contains(&ConfType::GroupBy) => None,
        Sample::Share(_) | Sample::Keys(_) => Some(Failure::hinted(
            format!(
                "{} limits the keys of GroupBys and joins, and none is selected",
                option(sample)
            ),
            "select a GroupBy or join, or leave the option out: staging queries are filled in full",
        )),
    }
}

/// The option of the command line that a sample was given with.
fn option(sample: &Sample) -> &'static str {
    match sample {
        Sample::Share(_) => "--sample",
        Sample::Keys(_) => "--keys",
        Sample::LeftRows(_) => "--limit-left",
    }
}

/// Settings that name tables, for the target. Commands that tell others of a run, or load what is served, are
/// for production only.
fn rename(workspace: &mut Workspace, retarget: &Retarget) {
    workspace.seeds = std::mem::take(&mut workspace.seeds)
        .into_iter()
        .filter_map(|seed| {
            let table = retarget.tables.get(&seed.table)?.clone();
            Some(chronon_run_workspace::Seed { table, ..seed })
        })
        .collect();
    let own: Vec<_> = workspace
        .sources
        .iter()
        .filter_map(|(table, settings)| {
            Some((retarget.tables.get(table)?.clone(), settings.clone()))
        })
        .collect();
    workspace.sources.extend(own);
    workspace.hooks = Hooks {
        timeout: workspace.hooks.timeout,
        ..Hooks::default()
    };
}

/// Fails if a step of a target would write elsewhere; called right before each step.
pub fn check_step(context: &Project, asset: &Asset) -> Result<(), WorkError> {
    let target = context.target.as_ref();
    target.map_or(Ok(()), |target| {
        target.check_step(asset, context.uses_driver())
    })
}

/// The same for the script that the step runs.
pub fn check_script(
    context: &Project,
    asset: &AssetId,
    statements: &Statements,
) -> Result<(), WorkError> {
    let target = context.target.as_ref();
    target.map_or(Ok(()), |target| target.check_script(asset, statements))
}

/// Says which target a run is for.
pub fn tell(plan: &Plan) {
    if let Some(target) = &plan.target {
        note(chronon_run_export::target_text(target).trim_end());
    }
}

/// Writes the target's confs of a plan for the Driver, which reads files. The repo stays as it is.
pub fn write_confs(context: &Project, plan: &Plan) -> Result<(), Failure> {
    if context.target.is_none() || !context.uses_driver() {
        return Ok(());
    }
    for asset in plan.assets.iter().map(|asset| &asset.asset) {
        let (Some(index), Some(text)) = (context.graph.find(asset), context.repo.text(&asset.conf))
        else {
            continue;
        };
        let path = context.conf_path(&context.graph.assets[index]);
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        folder
            .and_then(|()| chronon_run_process::replace(&path, text))
            .map_err(|error| Failure::setup(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}

/// The settings of a target.
pub fn named<'w>(workspace: &'w Workspace, name: &str) -> Result<&'w Target, Failure> {
    workspace.targets.get(name).ok_or_else(|| {
        let known: Vec<&str> = workspace.targets.keys().map(String::as_str).collect();
        let hint = match known.is_empty() {
            true => format!(
                "add it to workspace.toml:\n[targets.{name}]\nnamespace = \"{name}_{{user}}_{{namespace}}\""
            ),
            false => format!("known are {}", known.join(", ")),
        };
        Failure::hinted(format!("workspace.toml has no target `{name}`"), hint)
    })
}

/// The user that runs this program, as the environment names it.
fn user() -> Option<String> {
    let named = |name| env::var(name).ok().filter(|user: &String| !user.is_empty());
    named("USER").or_else(|| named("LOGNAME"))
}

/// The target's namespace for each namespace that production writes to or loads seeds into.
pub fn namespaces(
    target: &Target,
    workspace: &Workspace,
    graph: &Graph,
) -> Result<BTreeMap<String, String>, Failure> {
    let user = match (user(), target.namespace.contains("{user}")) {
        (None, true) => {
            return Err(Failure::hinted(
                "the target's namespace has the user's name in it, and that is not known",
                "set the variable USER",
            ));
        }
        (user, _) => user.unwrap_or_default(),
    };
    let seeds = workspace.seeds.iter().map(|seed| seed.table.clone());
    let all: BTreeSet<String> = production(graph)
        .into_iter()
        .chain(seeds)
        .map(|table| table.namespace().to_owned())
        .collect();
    let own = |name: String| {
        let own = target.namespace(&name, &user);
        (name, own)
    };
    Ok(all.into_iter().map(own).collect())
}

/// Every table that production fills, and the seeds that it loads are found by their namespaces.
fn production(graph: &Graph) -> BTreeSet<TableName> {
    let assets = graph.assets.iter();
    assets.flat_map(|asset| asset.may_write(false)).collect()
}

/// What is wrong with the targets of a workspace: namespaces that production or another target uses.
pub fn findings(workspace: &Workspace, graph: &Graph) -> Vec<Diagnostic> {
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    used.insert("default".to_owned(), "every metastore".to_owned());
    for seed in &workspace.seeds {
        used.insert(seed.table.namespace().to_owned(), "production".to_owned());
    }
    let read = graph.assets.iter().flat_map(|asset| &asset.inputs);
    let read = read.map(|input| input.spec.table.namespace().to_owned());
    let written = production(graph).into_iter();
    let written = written.map(|table| table.namespace().to_owned());
    used.extend(
        read.chain(written)
            .map(|name| (name, "production".to_owned())),
    );
    let mut found = Vec::new();
    for (name, target) in &workspace.targets {
        // Without a user's name nothing can be run in the target, and that is said there.
        let own = namespaces(target, workspace, graph).unwrap_or_default();
        let own: BTreeSet<String> = own.into_values().collect();
        for namespace in &own {
            if let Some(owner) = used.get(namespace) {
                found.push(
                    Diagnostic::error(
                        "target-namespace",
                        format!("target `{name}` would write to the namespace `{namespace}` of {owner}"),
                    )
                    .at(Location::bytes(&workspace.file, target.span.clone()))
                    .hint("give the target namespaces of its own, for example `namespace = \"dev_{user}_{namespace}\"`"),
                );
            }
        }
        used.extend(
            own.into_iter()
                .map(|space| (space, format!("target `{name}`"))),
        );
    }
    found
}

/// What is sampled, as the command line says.
pub fn sample(args: &SampleArgs) -> Result<Option<Sample>, Failure> {
    if let Some(path) = &args.keys {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::setup(format!("cannot read {}: {error}", path.display())))?;
        let keys = keys::parse(&text);
        let keys = keys.map_err(|error| {
            Failure::hinted(
                format!("{}: {error}", path.display()),
                "the first line names key columns, each other line holds one key, for example:\nuser_id\n17",
            )
        })?;
        return Ok(Some(Sample::Keys(keys)));
    }
    let share = args.sample.map(Sample::Share);
    Ok(share.or(args.limit_left.map(Sample::LeftRows)))
}

/// Refuses to fill days of a table that holds another sample than this command asks for.
pub fn check_samples(
    context: &Project,
    target: &InTarget,
    plan: &Plan,
    snapshot: &CatalogSnapshot,
) -> Result<(), Failure> {
    let assets: BTreeSet<&AssetId> = plan.steps.iter().map(|step| &step.asset).collect();
    for asset in assets {
        let Some(index) = context.graph.find(asset) else {
            continue;
        };
        let table = &context.graph.assets[index].table;
        let Some(state) = snapshot.table(table) else {
            continue;
        };
        let there = state
            .info
            .properties
            .get(SAMPLE_PROPERTY)
            .map(String::as_str);
        let wanted = context.table_property(asset, SAMPLE_PROPERTY);
        if there != wanted {
            return Err(Failure::hinted(
                format!(
                    "{table} holds {}, and this command would fill {}",
                    sample_text(there),
                    sample_text(wanted)
                ),
                format!(
                    "give the same --sample, --keys or --limit-left as before, or drop the target first: `chronon-run target drop {}`",
                    target.name
                ),
            ));
        }
    }
    Ok(())
}

fn sample_text(property: Option<&str>) -> String {
    match property {
        Some(sample) => format!("a sample ({sample})"),
        None => "all rows".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_which_nothing_is_computed_is_refused() {
        let share = Sample::Share("1%".parse().unwrap());
        let keys = Sample::Keys(keys::parse("user\n1\n").unwrap());
        let left = Sample::LeftRows(3);
        let refusal = |sample, kinds: &[ConfType]| {
            let kinds = kinds.iter().copied().collect();
            unsampled(sample, &kinds).map(|failure| failure.text())
        };
        let queries = [ConfType::StagingQuery];
        for (sample, option) in [(&share, "--sample "), (&keys, "--keys ")] {
            let text = refusal(sample, &queries).unwrap();
            assert!(text.starts_with(option), "{text}");
            assert_eq!(refusal(sample, &[ConfType::GroupBy]), None);
        }
        assert!(refusal(&left, &[ConfType::GroupBy]).is_some());
        for sample in [&share, &keys, &left] {
            let kinds = [ConfType::StagingQuery, ConfType::Join];
            assert_eq!(refusal(sample, &kinds), None);
        }
    }
}
