//! Paths of confs as selectors: of a file, of a folder, or with wildcards.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;

/// The folders of compiled confs: a path may begin there.
const FOLDERS: [&str; 3] = ["staging_queries", "group_bys", "joins"];

/// Whether `word` is the path of a conf, as run.py is given it, absolute, or without its first folders; or
/// the path of a folder that the conf is in; or has wildcards that match such a path.
pub(crate) fn is_path_of(word: &str, conf: &Path) -> bool {
    if !word.contains('/') {
        return false;
    }
    let path = Path::new(word);
    let several = path.components().count() > 1;
    let is_file = several && (path.ends_with(conf) || conf.ends_with(path));
    is_file || is_source_of(path, conf) || is_folder_of(path, conf) || matches(word, conf)
}

/// Whether `path` is the Python file that compile.py makes the conf of: `group_bys/shop/spend.py` has
/// `group_bys/shop/spend.v1`.
fn is_source_of(path: &Path, conf: &Path) -> bool {
    let source = || {
        let name = conf.file_name()?.to_str()?;
        let (module, _) = name.rsplit_once('.')?;
        let file = format!("{}.py", module.replace('.', "/"));
        let source = conf.parent()?.join(file);
        starts(&source).last()
    };
    source().is_some_and(|source| path.ends_with(&source))
}

/// What a word that is not understood may mean as the name of a conf, in lower case: the word itself, and
/// what follows the folder or word of a conf type in it, whatever separates them.
pub(crate) fn as_names(word: &str) -> Vec<String> {
    let name = word.to_lowercase().replace(['/', '\\'], ".");
    let name = name.trim_matches('.').trim_end_matches(".py").to_owned();
    let types = FOLDERS
        .into_iter()
        .chain(["staging_query", "group_by", "join"]);
    let inside = format!(".{name}");
    let mut rests = types.filter_map(|kind| inside.split_once(&format!(".{kind}.")));
    let rest = rests.next().map(|(_, rest)| rest.to_owned());
    [name].into_iter().chain(rest).collect()
}

fn is_folder_of(folder: &Path, conf: &Path) -> bool {
    let elsewhere = folder.is_absolute() || folder.starts_with("..");
    let below = |start: &Path| elsewhere && folder.ends_with(start);
    starts(conf).any(|start| start.starts_with(folder))
        || conf
            .ancestors()
            .skip(1)
            .any(|start| !start.as_os_str().is_empty() && below(start))
}

fn matches(word: &str, conf: &Path) -> bool {
    if !word.contains(['*', '?', '[', '{']) {
        return false;
    }
    let glob = GlobBuilder::new(word.trim_end_matches('/')).build();
    let glob = glob.map(|glob| glob.compile_matcher());
    glob.is_ok_and(|glob| {
        let mut starts = starts(conf);
        starts.any(|start| start.ancestors().any(|part| glob.is_match(part)))
    })
}

/// The path, and the rest of it from the folder of its type on.
fn starts(conf: &Path) -> impl Iterator<Item = PathBuf> {
    let parts: Vec<_> = conf.components().collect();
    let is_folder = |at: &usize| {
        let name = parts.get(*at).map(|part| part.as_os_str());
        *at == 0 || FOLDERS.iter().any(|folder| name == Some(folder.as_ref()))
    };
    let places: Vec<usize> = (0..parts.len()).filter(is_folder).collect();
    let rests: Vec<PathBuf> = places
        .into_iter()
        .map(|at| parts[at..].iter().collect())
        .collect();
    rests.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_another_spelling_is_read_as_a_name() {
        for word in [
            "production.group_bys.shop.spend.v1",
            "Production/Group_Bys/Shop/Spend.v1",
            "production\\group_bys\\shop\\spend.v1",
            "group_by/shop.spend.v1",
        ] {
            assert!(
                as_names(word).contains(&"shop.spend.v1".to_owned()),
                "{word}"
            );
        }
        assert_eq!(
            as_names("group_bys.shop.spend.py").last().unwrap(),
            "shop.spend"
        );
        assert_eq!(as_names("shop.join.v1")[0], "shop.join.v1");
    }

    #[test]
    fn files_folders_and_wildcards() {
        let conf = Path::new("production/group_bys/shop/spend.v1");
        for word in [
            "production/group_bys/shop/spend.v1",
            "/srv/repo/production/group_bys/shop/spend.v1",
            "shop/spend.v1",
            "production/group_bys/shop",
            "production/group_bys/shop/",
            "production/",
            "group_bys/shop/",
            "/srv/repo/production/group_bys/shop/",
            "../production/group_bys",
            "production/group_bys/shop/*",
            "production/**/spend.v1",
            "group_bys/*/",
            "group_bys/shop/spend.py",
            "/srv/repo/group_bys/shop/spend.py",
        ] {
            assert!(is_path_of(word, conf), "{word}");
        }
        for word in [
            "production",
            "spend.v1",
            "group_by/shop.spend.v1",
            "group_by/*",
            "joins/shop/",
            "production/group_bys/sho",
            "other/production",
            "/srv/repo/joins/",
            "production/joins/*",
            "group_bys/shop/other.py",
            "shop/spend.py",
            "/",
        ] {
            assert!(!is_path_of(word, conf), "{word}");
        }
    }
}
