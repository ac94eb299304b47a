//! dbt's selection words over the asset graph: `+x`, `x+`, `2+x`, `team:`, `type:`, `mode:`,
//! `tag:`, `path:`, `source:`, `table:`, `state:`, globs; blanks are union, commas intersection.

use std::{collections::BTreeSet, path::Path};

use chronon_run_core::{AssetKind, ConfId};
use globset::{GlobBuilder, GlobMatcher};

use crate::{
    graph::{Asset, AssetIndex, Graph},
    paths,
};

/// Which assets a command is about.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    include: Vec<Vec<Term>>,
    exclude: Vec<Vec<Term>>,
}

/// Why a selector cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// `method:` is not one of the known ones.
    #[error("`{term}`: there is no selection method `{method}` (known: {})", METHODS.join(", "))]
    UnknownMethod {
        /// The whole selector.
        term: String,
        /// The unknown word.
        method: String,
    },
    /// There is no such state.
    #[error("`{term}`: there is no such state (known: {})", STATES.join(", "))]
    UnknownState {
        /// The whole selector.
        term: String,
    },
    /// States are not known where the selector stands.
    #[error("`{term}`: states are known to commands only")]
    StatesUnknown {
        /// The whole selector.
        term: String,
    },
    /// The glob does not parse, or nothing follows the method.
    #[error("`{0}` is not a selector")]
    Malformed(String),
    /// What matches are not tables that backfills fill.
    #[error("`{term}` matches no table that a backfill fills, only {}: name one of these", .assets.join(", "))]
    OtherModes {
        /// The selector.
        term: String,
        /// The assets that match, and with more than five of them how many more there are.
        assets: Vec<String>,
    },
    /// Nothing in the workspace matches.
    #[error("`{term}` matches no asset{}", .nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    MatchesNothing {
        /// The selector.
        term: String,
        /// The conf, or team, that is written most alike.
        nearest: Option<String>,
    },
}

const METHODS: [&str; 8] = [
    "team", "type", "mode", "tag", "path", "source", "table", "state",
];

/// The words after `state:`.
const STATES: [&str; 4] = ["edited", "stale", "failed", "waiting"];

/// The assets that have days in a state, for `state:` selectors.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct States {
    /// Days filled with an earlier conf.
    pub edited: BTreeSet<AssetIndex>,
    /// Filled days that are out of date, for whatever cause.
    pub stale: BTreeSet<AssetIndex>,
    /// Days whose last attempt failed.
    pub failed: BTreeSet<AssetIndex>,
    /// Days that wait for inputs.
    pub waiting: BTreeSet<AssetIndex>,
}

impl States {
    fn of(&self, word: &str) -> Option<&BTreeSet<AssetIndex>> {
        match word {
            "edited" => Some(&self.edited),
            "stale" => Some(&self.stale),
            "failed" => Some(&self.failed),
            "waiting" => Some(&self.waiting),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Term {
    text: String,
    ancestors: Option<u32>,
    descendants: Option<u32>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    /// The name or id, and the word itself, which may be a path.
    Name(GlobMatcher, String),
    Method(&'static str, GlobMatcher),
    /// What a path begins with, and the word itself, which may be one without its first folders.
    Path(GlobMatcher, String),
    State(String),
}

impl Selection {
    /// Reads selectors: each text may hold several separated by blanks (union), each of which
    /// may hold several separated by commas (intersection). No `include` selects everything.
    ///
    /// # Errors
    /// If a selector is malformed.
    pub fn parse(include: &[String], exclude: &[String]) -> Result<Self, SelectionError> {
        Ok(Self {
            include: parse_all(include)?,
            exclude: parse_all(exclude)?,
        })
    }

    /// The selected assets.
    ///
    /// A conf selected by name, team, tag, path or table stands for its offline tables;
    /// uploads, label joins, streaming and the other modes are selected by `mode:` or by asset id,
    /// or all of them with `every_mode`.
    ///
    /// # Errors
    /// If an included selector matches nothing, or asks for a state.
    pub fn resolve(
        &self,
        graph: &Graph,
        every_mode: bool,
    ) -> Result<BTreeSet<AssetIndex>, SelectionError> {
        match self.asks_for_state() {
            Some(term) => Err(SelectionError::StatesUnknown { term }),
            None => self.resolve_with(graph, every_mode, &States::default()),
        }
    }

    /// The first selector by state, if there is one: then [`Selection::resolve_with`] is needed.
    #[must_use]
    pub fn asks_for_state(&self) -> Option<String> {
        let mut terms = self.include.iter().chain(&self.exclude).flatten();
        let by_state = terms.find(|term| term.is_state());
        by_state.map(|term| term.text.clone())
    }

    /// The selected assets, where it is known which assets are in which state. A selector by state may
    /// match nothing.
    ///
    /// # Errors
    /// If another included selector matches nothing.
    pub fn resolve_with(
        &self,
        graph: &Graph,
        every_mode: bool,
        states: &States,
    ) -> Result<BTreeSet<AssetIndex>, SelectionError> {
        let mut selected: BTreeSet<AssetIndex> = BTreeSet::new();
        if self.include.is_empty() {
            selected.extend(
                (0..graph.assets.len()).filter(|&index| every_mode || is_offline(graph, index)),
            );
        }
        for terms in &self.include {
            let matched = intersection(graph, terms, every_mode, true, states)?;
            if matched.is_empty() && !terms.iter().any(Term::is_state) {
                return Err(nothing(graph, terms, states));
            }
            selected.extend(matched);
        }
        for terms in &self.exclude {
            for index in intersection(graph, terms, true, false, states)? {
                selected.remove(&index);
            }
        }
        Ok(selected)
    }
}

impl Selection {
    /// Whether it means a conf that has no asset, because something is wrong with it. Tags, tables and
    /// modes of such a conf are not known.
    #[must_use]
    pub fn means(&self, conf: &ConfId, path: &Path, team: &str) -> bool {
        let all = |terms: &Vec<Term>| terms.iter().all(|term| term.means(conf, path, team));
        let included = self.include.is_empty() || self.include.iter().any(all);
        included && !self.exclude.iter().any(all)
    }

    /// The excluded selectors that match no asset and none of the confs without assets that `means` tells.
    #[must_use]
    pub fn idle_excludes(
        &self,
        graph: &Graph,
        left_out: &[(&ConfId, &Path, &str)],
    ) -> BTreeSet<String> {
        let all = |terms: &&Vec<Term>| !terms.iter().any(Term::is_state);
        let idle = self.exclude.iter().filter(all).filter(|terms| {
            let means = |term: &Term| {
                let mut confs = left_out.iter();
                confs.any(|(conf, path, team)| term.means(conf, path, team))
            };
            let states = States::default();
            let found = intersection(graph, terms, true, false, &states);
            found.is_ok_and(|found| found.is_empty()) && !terms.iter().any(means)
        });
        let text = |terms: &Vec<Term>| {
            let texts: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
            texts.join(",")
        };
        idle.map(text).collect()
    }

    /// Whether it names anything at all.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.include.is_empty()
    }
}

/// How many assets an error names.
const NAMED: usize = 5;

fn nothing(graph: &Graph, terms: &[Term], states: &States) -> SelectionError {
    let texts: Vec<&str> = terms.iter().map(|term| term.text.as_str()).collect();
    let others = intersection(graph, terms, true, true, states).unwrap_or_default();
    if !others.is_empty() {
        let named = others.iter().take(NAMED);
        let mut assets: Vec<String> = named
            .map(|&index| format!("`{}`", graph.assets[index].id))
            .collect();
        if others.len() > NAMED {
            assets.push(format!("{} more", others.len() - NAMED));
        }
        return SelectionError::OtherModes {
            term: texts.join(","),
            assets,
        };
    }
    SelectionError::MatchesNothing {
        term: texts.join(","),
        nearest: texts.first().and_then(|text| nearest(graph, text)),
    }
}

/// The conf or team whose name is written most like a selector.
fn nearest(graph: &Graph, text: &str) -> Option<String> {
    let text = text.trim_matches('+');
    let (method, word) = text.split_once(':').unwrap_or(("path", text));
    let assets = graph.assets.iter();
    let (names, before): (BTreeSet<&str>, _) = match method {
        "path" => (
            assets.map(|asset| asset.id.conf.name.as_str()).collect(),
            "",
        ),
        "team" => (assets.map(|asset| asset.team.as_str()).collect(), "team:"),
        _ => return None,
    };
    let wanted = paths::as_names(word);
    let alike = |name: &str| {
        let name = name.to_lowercase();
        let all = wanted.iter();
        all.map(|wanted| strsim::jaro_winkler(&name, wanted))
            .fold(0.0, f64::max)
    };
    let found = names.into_iter().map(|name| (alike(name), name));
    let found = found.filter(|(likeness, _)| *likeness > 0.8);
    let (_, name) = found.max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(format!("{before}{name}"))
}

fn is_offline(graph: &Graph, index: AssetIndex) -> bool {
    graph.assets[index].id.mode.is_offline_table()
}

fn intersection(
    graph: &Graph,
    terms: &[Term],
    every_mode: bool,
    narrow: bool,
    states: &States,
) -> Result<BTreeSet<AssetIndex>, SelectionError> {
    let mut sets = terms.iter().map(|term| term.resolve(graph, states));
    let Some(first) = sets.next() else {
        return Ok(BTreeSet::new());
    };
    let matched: BTreeSet<AssetIndex> = sets.fold(first, |all, next| &all & &next);
    let names_mode = every_mode
        || !narrow
        || terms
            .iter()
            .any(|term| term.names_mode() || term.names_other_mode(graph));
    let by_id = |index: &AssetIndex| {
        terms
            .iter()
            .any(|term| term.names_exactly(&graph.assets[*index]))
    };
    Ok(matched
        .into_iter()
        .filter(|index| names_mode || is_offline(graph, *index) || by_id(index))
        .collect())
}

fn parse_all(texts: &[String]) -> Result<Vec<Vec<Term>>, SelectionError> {
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    words
        .map(|word| {
            word.split(',')
                .filter(|term| !term.is_empty())
                .map(Term::parse)
                .collect()
        })
        .collect()
}

impl Term {
    fn parse(text: &str) -> Result<Self, SelectionError> {
        let malformed = || SelectionError::Malformed(text.to_owned());
        let (ancestors, rest) = leading_depth(text);
        let (descendants, rest) = trailing_depth(rest);
        let (method, value) = match rest.split_once(':') {
            Some((method, value)) => {
                let known = METHODS.into_iter().find(|known| *known == method);
                let unknown = || SelectionError::UnknownMethod {
                    term: text.to_owned(),
                    method: method.to_owned(),
                };
                (Some(known.ok_or_else(unknown)?), value)
            }
            None => (None, rest),
        };
        if value.is_empty() {
            return Err(malformed());
        }
        if method == Some("state") && !STATES.contains(&value) {
            let term = text.to_owned();
            return Err(SelectionError::UnknownState { term });
        }
        let glob = |pattern: &str| {
            let built = GlobBuilder::new(pattern).literal_separator(false).build();
            built
                .map(|glob| glob.compile_matcher())
                .map_err(|_| malformed())
        };
        let matcher = match method {
            Some("path") => {
                let value = value.trim_start_matches("./");
                Matcher::Path(glob(&format!("{value}*"))?, value.to_owned())
            }
            Some("state") => Matcher::State(value.to_owned()),
            Some(method) => Matcher::Method(method, glob(value)?),
            None => Matcher::Name(glob(value)?, value.trim_start_matches("./").to_owned()),
        };
        Ok(Self {
            text: text.to_owned(),
            ancestors,
            descendants,
            matcher,
        })
    }

    fn means(&self, conf: &ConfId, path: &Path, team: &str) -> bool {
        let path = path.to_string_lossy();
        match &self.matcher {
            Matcher::Name(glob, word) => {
                let id = conf.to_string();
                let mut names = [conf.name.as_str(), id.as_str()].into_iter();
                names.any(|name| glob.is_match(name))
                    || paths::is_path_of(word, Path::new(path.as_ref()))
            }
            Matcher::Path(glob, word) => {
                glob.is_match(path.as_ref()) || paths::is_path_of(word, Path::new(path.as_ref()))
            }
            Matcher::Method("team", glob) => glob.is_match(team),
            Matcher::Method("type", glob) => glob.is_match(conf.conf_type.to_string()),
            Matcher::Method(..) | Matcher::State(_) => false,
        }
    }

    fn is_state(&self) -> bool {
        matches!(self.matcher, Matcher::State(_))
    }

    fn resolve(&self, graph: &Graph, states: &States) -> BTreeSet<AssetIndex> {
        let matched: BTreeSet<AssetIndex> = match &self.matcher {
            Matcher::State(word) => states.of(word).cloned().unwrap_or_default(),
            _ => graph
                .assets
                .iter()
                .enumerate()
                .filter(|(_, asset)| self.matches(asset))
                .map(|(index, _)| index)
                .collect(),
        };
        let mut all = matched.clone();
        if let Some(depth) = self.ancestors {
            all.extend(walk(&matched, depth, |index| {
                graph.parents(index).collect()
            }));
        }
        if let Some(depth) = self.descendants {
            all.extend(walk(&matched, depth, |index| {
                graph.children(index).collect()
            }));
        }
        all
    }

    fn matches(&self, asset: &Asset) -> bool {
        match &self.matcher {
            Matcher::Name(glob, word) => {
                let conf = asset.id.conf.to_string();
                let id = asset.id.to_string();
                let mut names =
                    [id.as_str(), conf.as_str(), asset.id.conf.name.as_str()].into_iter();
                names.any(|name| glob.is_match(name)) || paths::is_path_of(word, &asset.path)
            }
            Matcher::Path(glob, word) => {
                glob.is_match(&asset.path) || paths::is_path_of(word, &asset.path)
            }
            Matcher::Method(method, glob) => match *method {
                "team" => glob.is_match(&asset.team),
                "type" => glob.is_match(asset.id.conf.conf_type.as_str()),
                "mode" => {
                    glob.is_match(asset.id.mode.word())
                        || glob.is_match(asset.id.mode.run_py_mode())
                }
                "tag" => asset.tags.iter().any(|tag| glob.is_match(tag)),
                "source" => asset.inputs.iter().any(|input| {
                    input.producer.is_none() && glob.is_match(input.spec.table.as_str())
                }),
                _ => glob.is_match(asset.table.as_str()),
            },
            Matcher::State(_) => false,
        }
    }

    fn names_mode(&self) -> bool {
        matches!(self.matcher, Matcher::Method("mode", _))
    }

    /// Whether it names, by its id, something that only its id or `mode:` selects: then all that it
    /// reaches is meant, whatever its mode.
    fn names_other_mode(&self, graph: &Graph) -> bool {
        let mut others = graph
            .assets
            .iter()
            .filter(|asset| !asset.id.mode.is_offline_table());
        matches!(self.matcher, Matcher::Name(..)) && others.any(|asset| self.names_exactly(asset))
    }

    fn names_exactly(&self, asset: &Asset) -> bool {
        match &self.matcher {
            Matcher::Name(glob, _) => {
                !glob.is_match(&asset.id.conf.name)
                    && glob.is_match(asset.id.to_string())
                    && self.text.contains(asset.id.mode.word())
            }
            Matcher::Method("table", glob) => glob.is_match(asset.table.as_str()),
            Matcher::Method(..) | Matcher::Path(..) | Matcher::State(_) => false,
        }
    }
}

/// Whether a step is one of the modes that need naming; used in messages.
impl Selection {
    /// The words after `mode:` that exist.
    #[must_use]
    pub fn modes(graph: &Graph) -> BTreeSet<&'static str> {
        graph
            .assets
            .iter()
            .map(|asset| AssetKind::word(&asset.id.mode))
            .collect()
    }
}

/// `+x` → all levels, `2+x` → two.
fn leading_depth(text: &str) -> (Option<u32>, &str) {
    match text.split_once('+') {
        Some(("", rest)) => (Some(u32::MAX), rest),
        Some((digits, rest)) => match digits.parse() {
            Ok(depth) => (Some(depth), rest),
            Err(_) => (None, text),
        },
        None => (None, text),
    }
}

/// `x+` → all levels, `x+3` → three.
fn trailing_depth(text: &str) -> (Option<u32>, &str) {
    match text.rsplit_once('+') {
        Some((rest, "")) => (Some(u32::MAX), rest),
        Some((rest, digits)) => match digits.parse() {
            Ok(depth) => (Some(depth), rest),
            Err(_) => (None, text),
        },
        None => (None, text),
    }
}

fn walk(
    from: &BTreeSet<AssetIndex>,
    depth: u32,
    next: impl Fn(AssetIndex) -> Vec<AssetIndex>,
) -> BTreeSet<AssetIndex> {
    let mut seen = from.clone();
    let mut level: Vec<AssetIndex> = from.iter().copied().collect();
    for _ in 0..depth {
        level = level
            .into_iter()
            .flat_map(&next)
            .filter(|&index| seen.insert(index))
            .collect();
        if level.is_empty() {
            break;
        }
    }
    seen
}
