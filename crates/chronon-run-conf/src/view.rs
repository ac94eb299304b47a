//! Confs of any type: all of a repo, or the one of an id.

use std::path::Path;

use chronon_run_core::{ConfId, ConfType};

use crate::{
    model::{GroupBy, Join, MetaData, StagingQuery},
    repo::{ConfFile, ConfRepo},
};

/// One conf of any type.
#[derive(Clone, Copy, Debug)]
pub enum AnyConf<'a> {
    /// A GroupBy.
    GroupBy(&'a GroupBy),
    /// A Join.
    Join(&'a Join),
    /// A StagingQuery.
    StagingQuery(&'a StagingQuery),
}

impl<'a> AnyConf<'a> {
    /// Its type.
    #[must_use]
    pub fn conf_type(self) -> ConfType {
        match self {
            Self::GroupBy(_) => ConfType::GroupBy,
            Self::Join(_) => ConfType::Join,
            Self::StagingQuery(_) => ConfType::StagingQuery,
        }
    }

    /// Its `metaData`.
    #[must_use]
    pub fn meta(self) -> &'a MetaData {
        match self {
            Self::GroupBy(conf) => &conf.meta_data,
            Self::Join(conf) => &conf.meta_data,
            Self::StagingQuery(conf) => &conf.meta_data,
        }
    }
}

/// A conf and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct ConfView<'a> {
    /// The file, relative to the repo root.
    pub path: &'a Path,
    /// Digest of the file's bytes.
    pub digest: &'a str,
    /// The conf.
    pub conf: AnyConf<'a>,
}

fn view<'a, T>(file: &'a ConfFile<T>, conf: impl Fn(&'a T) -> AnyConf<'a>) -> ConfView<'a> {
    ConfView {
        path: &file.path,
        digest: &file.digest,
        conf: conf(&file.conf),
    }
}

impl ConfRepo {
    /// All confs: staging queries, GroupBys, joins, each by name.
    #[must_use]
    pub fn views(&self) -> Vec<ConfView<'_>> {
        let staging = self.staging_queries.values();
        let staging = staging.map(|file| view(file, AnyConf::StagingQuery));
        let group_bys = self.group_bys.values();
        let group_bys = group_bys.map(|file| view(file, AnyConf::GroupBy));
        let joins = self.joins.values().map(|file| view(file, AnyConf::Join));
        staging.chain(group_bys).chain(joins).collect()
    }

    /// The conf of this id.
    #[must_use]
    pub fn find(&self, id: &ConfId) -> Option<AnyConf<'_>> {
        let name = &id.name;
        Some(match id.conf_type {
            ConfType::GroupBy => AnyConf::GroupBy(&self.group_bys.get(name)?.conf),
            ConfType::Join => AnyConf::Join(&self.joins.get(name)?.conf),
            ConfType::StagingQuery => AnyConf::StagingQuery(&self.staging_queries.get(name)?.conf),
        })
    }

    /// The text of the file of the conf of this id.
    #[must_use]
    pub fn text(&self, id: &ConfId) -> Option<&str> {
        let name = &id.name;
        Some(match id.conf_type {
            ConfType::GroupBy => &self.group_bys.get(name)?.text,
            ConfType::Join => &self.joins.get(name)?.text,
            ConfType::StagingQuery => &self.staging_queries.get(name)?.text,
        })
    }
}
