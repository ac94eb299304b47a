//! No file of a crate uses one that uses it, directly or by others: a reader can begin at the files that use
//! nothing, and a file can be moved with what it needs.
//!
//! Uses are `use` items and paths that begin with `crate`, `self`, `super` or a module of the file. That a
//! module names its own parts to others (`pub use`) is no use. Tests, and paths inside macros, do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, File, Item, ItemMod, ItemUse, Path as CodePath, UseTree, Visibility,
    visit::{self, Visit},
};

use crate::support::{files_with, repository};

/// The place of a module in its crate, e.g. `["listing", "session"]`; that of the crate itself is empty.
type Module = Vec<String>;

/// The modules of one crate.
#[derive(Default)]
struct Crate {
    /// The names that each module defines.
    defined: BTreeMap<Module, BTreeSet<String>>,
    /// What each module names to others: by which name, and where it is.
    named: BTreeMap<(Module, String), Module>,
    /// Every path that a module writes, from the crate on, with whether it only names it to others.
    written: Vec<(Module, Module, bool)>,
}

#[test]
fn no_file_uses_one_that_uses_it() {
    let mut found = Vec::new();
    for entry in fs::read_dir(repository().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let uses = Crate::read(&folder.join("src")).uses();
        assert!(!uses.is_empty() || name.ends_with("-core"), "{name}");
        let cycles = cycles(&uses);
        found.extend(cycles.iter().map(|files| format!("{name}: {files:?}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn cycles_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "lib.rs",
        "mod a; mod b; mod c; pub use a::one; pub use c::Three;",
    );
    write(
        "a.rs",
        "use crate::Three; pub fn one() { super::b::two(); }",
    );
    write("b.rs", "use super::one; pub fn two() { one(); }");
    write(
        "c.rs",
        "pub struct Three; #[cfg(test)] mod tests { use crate::b::two; }",
    );
    let uses = Crate::read(folder.path()).uses();
    assert_eq!(cycles(&uses), [["a", "b"]]);
}

impl Crate {
    fn read(src: &Path) -> Self {
        let mut files: Vec<PathBuf> = files_with("rs", src);
        files.retain(|path| !is_of_tests(path.strip_prefix(src).unwrap()));
        let mut all = Self::default();
        let parsed: Vec<(Module, File)> = files
            .iter()
            .map(|path| {
                let text = fs::read_to_string(path).unwrap();
                let file = syn::parse_file(&text).unwrap();
                (module_of(path.strip_prefix(src).unwrap()), file)
            })
            .collect();
        for (module, _) in &parsed {
            all.defined.insert(module.clone(), BTreeSet::new());
        }
        for (module, file) in &parsed {
            let mut reader = Reader {
                all: &mut all,
                module,
            };
            reader.visit_file(file);
        }
        all
    }

    /// Which modules each module uses, others than itself.
    fn uses(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let mut uses: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, path, is_naming) in &self.written {
            let Some(used) = self.home(path, 0) else {
                continue;
            };
            let own_part = *is_naming && used.starts_with(module);
            if used != *module && !own_part {
                uses.entry(module.clone()).or_default().insert(used);
            }
        }
        uses
    }

    /// The module in which a path ends, through what modules name to others; none if that is another crate.
    fn home(&self, path: &[String], steps: u32) -> Option<Module> {
        let module = (0..=path.len())
            .rev()
            .map(|length| path[..length].to_vec())
            .find(|module| self.defined.contains_key(module))?;
        let Some(name) = path.get(module.len()) else {
            return Some(module);
        };
        if self.defined[&module].contains(name) {
            return Some(module);
        }
        // A name that is imported from another crate, or made by a macro, has no home here.
        let target = self.named.get(&(module.clone(), name.clone()))?;
        let rest = path[module.len() + 1..].iter().cloned();
        let target: Module = target.iter().cloned().chain(rest).collect();
        (steps < 8).then(|| self.home(&target, steps + 1))?
    }

    /// A path as it is written in a module, from the crate on; none if it leads out of the crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Module> {
        let mut base = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            word => {
                base.push(word.to_owned());
                if !self.defined.contains_key(&base) {
                    return None;
                }
                base.pop();
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }
}

/// Reads one file.
struct Reader<'a> {
    all: &'a mut Crate,
    module: &'a Module,
}

impl Visit<'_> for Reader<'_> {
    fn visit_item(&mut self, item: &Item) {
        if attributes(item).iter().any(is_for_tests) {
            return;
        }
        if let Some(name) = name_of(item) {
            let defined = self.all.defined.entry(self.module.clone());
            defined.or_default().insert(name);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &ItemMod) {
        if item.content.is_some() {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        let is_naming = !matches!(item.vis, Visibility::Inherited);
        let mut paths = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut paths);
        for (path, name) in paths {
            let Some(target) = self.all.absolute(self.module, &path) else {
                continue;
            };
            if is_naming && name != "*" {
                let key = (self.module.clone(), name);
                self.all.named.insert(key, target.clone());
            }
            let written = (self.module.clone(), target, is_naming);
            self.all.written.push(written);
        }
    }

    fn visit_path(&mut self, path: &CodePath) {
        let words: Vec<String> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if words.len() > 1
            && let Some(target) = self.all.absolute(self.module, &words)
        {
            let written = (self.module.clone(), target, false);
            self.all.written.push(written);
        }
        visit::visit_path(self, path);
    }
}

/// The paths of a `use`, each with the name by which it is known.
fn flatten(tree: &UseTree, before: &mut Vec<String>, all: &mut Vec<(Vec<String>, String)>) {
    let with = |before: &[String], word: &str| {
        let own = (word != "self").then(|| word.to_owned());
        before.iter().cloned().chain(own).collect::<Vec<String>>()
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, all);
            before.pop();
        }
        UseTree::Name(name) => {
            let word = name.ident.to_string();
            all.push((with(before, &word), word));
        }
        UseTree::Rename(name) => {
            let path = with(before, &name.ident.to_string());
            all.push((path, name.rename.to_string()));
        }
        UseTree::Glob(_) => all.push((before.clone(), "*".to_owned())),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, all);
            }
        }
    }
}

/// Modules that use each other, each set once.
fn cycles(uses: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<String>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = uses
        .keys()
        .map(|from| (from, reached(from, uses)))
        .collect();
    let mut all = BTreeSet::new();
    for (from, to) in &reached {
        let mutual = to
            .iter()
            .filter(|other| reached.get(*other).is_some_and(|back| back.contains(from)));
        let files: BTreeSet<String> = mutual.map(|module| module.join("/")).collect();
        if files.len() > 1 {
            all.insert(files.into_iter().collect::<Vec<String>>());
        }
    }
    all.into_iter().collect()
}

/// Every module that one uses, directly or by others.
fn reached<'a>(
    from: &'a Module,
    uses: &'a BTreeMap<Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&Module> = vec![from];
    while let Some(module) = open.pop() {
        let next = uses.get(module).into_iter().flatten();
        open.extend(next.filter(|used| found.insert(*used)));
    }
    found
}

/// The module of a file, by its path below `src`.
fn module_of(path: &Path) -> Module {
    let path = path.with_extension("");
    let mut parts: Module = path
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        parts.pop();
    }
    parts
}

/// Whether a file holds tests only: those modules are declared with `#[cfg(test)]`.
fn is_of_tests(path: &Path) -> bool {
    path.iter().any(|part| {
        let part = part.to_string_lossy();
        let name = part.trim_end_matches(".rs");
        name == "tests" || name == "testing" || name.ends_with("_tests")
    })
}

/// `#[cfg(test)]`, also with another condition beside it.
fn is_for_tests(attribute: &Attribute) -> bool {
    let condition = attribute
        .path()
        .is_ident("cfg")
        .then(|| attribute.meta.require_list());
    let Some(Ok(condition)) = condition else {
        return false;
    };
    let text = condition.tokens.to_string();
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
    words.contains(&"test") && !words.contains(&"not") && !words.contains(&"any")
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
