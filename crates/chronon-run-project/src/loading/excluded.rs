//! What of a workspace cannot be filled, and why: files and confs with errors, seeds that cannot be loaded,
//! what the engine cannot do.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    path::{Path, PathBuf},
    sync::Once,
};

use chronon_run_core::{
    AssetId, AssetKind, CatalogSnapshot, ConfId, ConfType, Diagnostic, Location, PartitionFormat,
    TableName, clean,
};
use chronon_run_plan::{Asset, AssetIndex, Role, Selection};
use chronon_run_report::count;
use chronon_run_sql as sql;

use crate::{
    engines::{driver::Driver, kv},
    failure::Failure,
    loading::{
        day_formats::formats_of,
        located::relative_to,
        project::{LeftOut, Project},
        seed_days,
        selecting::selection,
    },
    options::SelectArgs,
    output,
};

/// How many files with errors are named where the command is about something else.
const SHOWN: usize = 5;

impl Project {
    /// The files with errors that have no asset, relative to the repo, and what is wrong.
    pub fn files_left_out(&self) -> impl Iterator<Item = (&Path, &str)> {
        let files = self.left_out.iter();
        files.map(|file| (file.path.as_path(), file.why.as_str()))
    }

    /// Those of [`files_left_out`](Self::files_left_out) that a selection means.
    pub(super) fn meant_left_out(
        &self,
        selection: &Selection,
    ) -> impl Iterator<Item = (&Path, &str)> {
        let files = self.left_out.iter();
        files
            .filter(|file| selection.means(&file.id, &file.path, &file.team))
            .map(|file| (file.path.as_path(), file.why.as_str()))
    }

    /// Names the excluded selectors that exclude nothing, once.
    pub(super) fn warn_of_idle_excludes(&self, selection: &Selection) {
        static NOTED: Once = Once::new();
        let left_out = self.left_out.iter();
        let left_out: Vec<_> = left_out
            .map(|conf| (&conf.id, conf.path.as_path(), conf.team.as_str()))
            .collect();
        let idle = selection.idle_excludes(&self.graph, &left_out);
        if idle.is_empty() {
            return;
        }
        NOTED.call_once(|| {
            for term in idle {
                output::note(&format!("warning: `--exclude {term}` matches no asset"));
            }
        });
    }

    /// Names the files with errors.
    pub(super) fn warn_of_errors(&self) {
        let total = self.broken.len() + self.left_out.len();
        if total == 0 {
            return;
        }
        let confs = count(total as u64, "conf");
        output::note(&format!(
            "warning: {confs} with errors will not be filled; `chronon-run check` shows them"
        ));
        let broken = self.broken.iter();
        let left_out = self.left_out.iter().map(|conf| (&conf.path, &conf.why));
        for (path, why) in broken.chain(left_out).take(SHOWN) {
            output::note(&format!("  {}: {why}", path.display()));
        }
        if total > SHOWN {
            output::note(&format!("  and {} more", total - SHOWN));
        }
    }

    /// Whether an error excludes one conf only.
    pub(super) fn excludes(&self, finding: &Diagnostic) -> bool {
        self.conf_at(finding).is_some()
            || self.path_in_repo(finding).is_some_and(|path| {
                let mut left_out = self.left_out.iter();
                left_out.any(|conf| conf.path == path)
            })
    }

    /// The path of a finding relative to the repo, if it is about a file of the compiled confs.
    fn path_in_repo(&self, finding: &Diagnostic) -> Option<PathBuf> {
        let here = env::current_dir().ok()?;
        let path = here.join(&finding.location.as_ref()?.path);
        let relative = path.strip_prefix(here.join(&self.workspace.repo)).ok()?;
        let confs = relative.strip_prefix(&self.workspace.production).ok()?;
        let in_folder = |conf_type: ConfType| confs.starts_with(conf_type.folder());
        let known = [ConfType::StagingQuery, ConfType::GroupBy, ConfType::Join];
        known
            .into_iter()
            .any(in_folder)
            .then(|| relative.to_owned())
    }

    /// The files with errors that have no asset.
    pub(super) fn find_left_out(&self, findings: &[Diagnostic]) -> Vec<LeftOut> {
        let mut found: Vec<LeftOut> = Vec::new();
        for finding in findings.iter().filter(|finding| finding.is_error()) {
            if self.conf_at(finding).is_some() {
                continue;
            }
            let Some(path) = self.path_in_repo(finding) else {
                continue;
            };
            match found.iter_mut().find(|conf| conf.path == path) {
                Some(conf) => conf.why = format!("{}; {}", conf.why, finding.message),
                None => found.extend(LeftOut::new(self, path, finding)),
            }
        }
        found
    }

    /// What cannot be filled of what a command was asked to fill, in words: confs with errors, and of the
    /// assets that are `wanted` also those that the engine cannot fill.
    pub fn not_filled(
        &self,
        args: &SelectArgs,
        selected: &BTreeSet<AssetIndex>,
        wanted: &dyn Fn(AssetIndex) -> bool,
    ) -> Result<BTreeSet<String>, Failure> {
        let selection = selection(args, &self.workspace)?;
        let mut names: BTreeSet<String> = self
            .meant_left_out(&selection)
            .map(|(path, _)| path.display().to_string())
            .collect();
        for &index in selected {
            let asset = &self.graph.assets[index];
            let offline = asset.id.mode.is_offline_table();
            let wrong = self.has_errors(index) || self.needs_left_out(asset).is_some();
            if offline && (wrong || wanted(index) && self.refusal(&asset.id).is_some()) {
                names.insert(asset.id.to_string());
            }
        }
        Ok(names)
    }

    /// The seeds whose files cannot be read or understood, and why.
    pub fn bad_seeds(&self) -> &BTreeMap<TableName, String> {
        self.bad_seeds
            .get_or_init(|| seed_days::broken(&self.workspace))
    }

    /// Why an asset cannot be filled: it reads a seed that cannot be loaded.
    fn needs_bad_seed(&self, asset: &Asset) -> Option<String> {
        asset.inputs.iter().find_map(|input| {
            let table = &input.spec.table;
            let why = self.bad_seeds().get(table)?;
            Some(format!(
                "it needs {table}, a seed that cannot be loaded: {why}"
            ))
        })
    }

    /// Why an asset cannot be filled: a conf or seed that would fill one of its inputs has errors.
    fn needs_left_out(&self, asset: &Asset) -> Option<String> {
        if let Some(why) = self.needs_bad_seed(asset) {
            return Some(why);
        }
        let tables: BTreeSet<&TableName> = asset.inputs.iter().map(|i| &i.spec.table).collect();
        let needed = self.left_out.iter().find(|conf| {
            let table = conf.table.as_ref();
            table.is_some_and(|table| tables.contains(table))
        })?;
        let table = needed.table.as_ref()?;
        Some(format!(
            "it needs {table}, which {} fills, and that conf has errors: {}",
            needed.path.display(),
            needed.why
        ))
    }

    /// The file, relative to the repo, of the conf in the graph that a finding is about.
    fn conf_at(&self, finding: &Diagnostic) -> Option<&Path> {
        let path = &finding.location.as_ref()?.path;
        let here = env::current_dir().ok()?;
        let at =
            |relative: &Path| here.join(&self.workspace.repo).join(relative) == here.join(path);
        let assets = self.graph.assets.iter();
        assets.map(|asset| asset.path.as_path()).find(|p| at(p))
    }

    /// What is wrong with the confs that have assets.
    pub(super) fn broken(&self, findings: &[Diagnostic]) -> BTreeMap<PathBuf, String> {
        let mut broken: BTreeMap<PathBuf, String> = BTreeMap::new();
        for finding in findings.iter().filter(|finding| finding.is_error()) {
            let Some(path) = self.conf_at(finding) else {
                continue;
            };
            let texts = broken.entry(path.to_owned()).or_default();
            if !texts.is_empty() {
                texts.push_str("; ");
            }
            texts.push_str(&finding.message);
        }
        broken
    }

    /// Why the Driver cannot read a source of an asset: it has one format for all tables, which is that of
    /// its outputs, too. The SQL of staging queries is the author's own.
    fn other_format<'a>(
        &self,
        asset: &Asset,
        format_of: impl Fn(&TableName) -> Option<&'a PartitionFormat>,
    ) -> Option<String> {
        if asset.id.conf.conf_type == ConfType::StagingQuery || !self.uses_driver() {
            return None;
        }
        asset.inputs.iter().find_map(|input| {
            let read = !matches!(input.role, Role::Dependency | Role::OwnStep);
            let format = format_of(&input.spec.table).filter(|format| !format.is_iso())?;
            read.then(|| {
                format!(
                    "it reads {}, whose partitions are days of the form {format}; the Driver reads and writes every table in one format, here yyyy-MM-dd: write such a table with a staging query, and read that, or use `kind = \"sql\"`",
                    input.spec.table
                )
            })
        })
    }

    /// What cannot be filled, because its conf has errors or the engine cannot do it, by asset.
    pub fn refused(&self, selected: &BTreeSet<AssetIndex>) -> BTreeMap<AssetId, String> {
        let assets = selected.iter().map(|&index| &self.graph.assets[index].id);
        assets
            .filter_map(|asset| Some((asset.clone(), self.refusal(asset)?)))
            .collect()
    }

    /// What [`Project::refused`] cannot know without the catalog: sources whose days the Driver would not
    /// find, because a view hands them on as its table has them.
    pub fn misread(
        &self,
        selected: &BTreeSet<AssetIndex>,
        snapshot: &CatalogSnapshot,
    ) -> BTreeMap<AssetId, String> {
        if !self.uses_driver() {
            return BTreeMap::new();
        }
        let formats = formats_of(self, snapshot);
        let format_of = |table: &TableName| formats.get(table).map(|(format, _)| format);
        let assets = selected.iter().map(|&index| &self.graph.assets[index]);
        assets
            .filter_map(|asset| Some((asset.id.clone(), self.other_format(asset, format_of)?)))
            .collect()
    }

    /// Whether the conf of an asset has errors.
    pub fn has_errors(&self, asset: AssetIndex) -> bool {
        self.broken.contains_key(&self.graph.assets[asset].path)
    }

    /// Fails if none of the selected assets can be filled whatever the catalog holds.
    pub fn check_fillable(&self, selected: &BTreeSet<AssetIndex>) -> Result<(), Failure> {
        let findings: Vec<Diagnostic> = selected
            .iter()
            .filter_map(|&index| self.cannot(index))
            .collect();
        if findings.len() < selected.len() || selected.is_empty() {
            Ok(())
        } else {
            Err(Failure::Findings(findings))
        }
    }

    fn cannot(&self, index: AssetIndex) -> Option<Diagnostic> {
        let asset = &self.graph.assets[index];
        let why = self.refusal(&asset.id)?;
        let wrong = self.has_errors(index) || self.needs_left_out(asset).is_some();
        let (code, instead) = if self.needs_bad_seed(asset).is_some() {
            ("bad-seed", "correct the seed's file")
        } else if wrong {
            ("conf-error", "correct the conf")
        } else if asset.id.mode == AssetKind::Kv {
            ("no-hook", "add the hook")
        } else {
            ("engine-cannot", "use the engine that can")
        };
        let finding = Diagnostic::error(code, format!("{}: {why}", asset.id));
        let finding = relative_to(finding.at(Location::file(&asset.path)), &self.workspace);
        Some(finding.hint(format!(
            "{instead}, or leave it out with `--exclude {}`",
            asset.id.conf.name
        )))
    }

    /// Why an asset cannot be filled, as far as it is known without the catalog.
    pub(crate) fn refusal(&self, asset: &AssetId) -> Option<String> {
        let found = &self.graph.assets[self.graph.find(asset)?];
        if let Some(why) = self.broken.get(&found.path) {
            return Some(why.clone());
        }
        let target = self.target.as_ref();
        if let Some(why) = target.and_then(|target| target.refusal(found, self.uses_driver())) {
            return Some(why);
        }
        if let Some(why) = self.needs_left_out(found) {
            return Some(why);
        }
        let declared =
            |table: &TableName| self.workspace.sources.get(table)?.partition_format.as_ref();
        if let Some(why) = self.other_format(found, declared) {
            return Some(why);
        }
        if asset.mode == AssetKind::Kv {
            let hook = &self.workspace.hooks.kv_upload;
            return hook.is_none().then(|| kv::NO_HOOK.to_owned());
        }
        if self.uses_driver() {
            let index = self.graph.find(asset)?;
            return Driver::new(self, None).check(&self.graph.assets[index]);
        }
        let refusals = sql::check(self.conf(asset)?, &asset.mode);
        let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

impl LeftOut {
    fn new(context: &Project, path: PathBuf, finding: &Diagnostic) -> Option<Self> {
        let known = [ConfType::StagingQuery, ConfType::GroupBy, ConfType::Join];
        let confs = path.strip_prefix(&context.workspace.production).ok()?;
        let conf_type = known
            .into_iter()
            .find(|known| confs.starts_with(known.folder()))?;
        let inside = confs.strip_prefix(conf_type.folder()).ok()?;
        let views = context.repo.views();
        let read = views.iter().find(|view| view.path == path);
        let (name, team, table) = match read.map(|view| view.conf.meta()) {
            Some(meta) => {
                let table = meta.output_table().ok();
                (meta.name.clone(), meta.team().to_owned(), table)
            }
            None => {
                let mut parts = inside.iter().map(|part| part.to_string_lossy());
                let team = parts.next().unwrap_or_default().into_owned();
                let name: Vec<_> = std::iter::once(team.clone().into()).chain(parts).collect();
                let name = name.join(".");
                let namespace = context.repo.teams.text(&team, "namespace");
                let table = TableName::new(namespace.unwrap_or_default(), &clean(&name)).ok();
                (name, team, table)
            }
        };
        let why = finding.message.clone();
        let id = ConfId { conf_type, name };
        Some(Self {
            path,
            id,
            team,
            table,
            why,
        })
    }
}
