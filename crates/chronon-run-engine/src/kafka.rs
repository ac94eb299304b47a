//! The Kafka source of Spark's structured streaming: which jars it consists of. Spark does not ship
//! it, and its version must be that of the Spark that runs the app.

use std::path::Path;

use chronon_run_spark::maven::{self, Coordinates, Maven, MavenError};

/// The class that Spark loads for `format("kafka")`.
pub const SOURCE_CLASS: &str = "org.apache.spark.sql.kafka010.KafkaSourceProvider";

/// The artefacts that the source needs and that no Spark has among its own jars.
const NEEDED: [(&str, &str); 3] = [
    ("org.apache.spark", "spark-token-provider-kafka-0-10_"),
    ("org.apache.kafka", "kafka-clients"),
    ("org.apache.commons", "commons-pool2"),
];

/// Why the jars of the source are not known.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// The POM cannot be fetched.
    #[error(transparent)]
    Maven(#[from] MavenError),
    /// The POM does not say what is needed.
    #[error("the POM of {source_name} {why}")]
    Pom {
        /// Its coordinates.
        source_name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The source for a Spark of this version and Scala (`2.12`).
#[must_use]
pub fn source(spark: &str, scala: &str) -> Coordinates {
    Coordinates {
        group: "org.apache.spark".to_owned(),
        artifact: format!("spark-sql-kafka-0-10_{scala}"),
        version: spark.to_owned(),
        classifier: None,
    }
}

/// The source and its dependencies, in the versions that its POM names. The POM is read from the
/// cache, or fetched into it once.
///
/// # Errors
/// See [`KafkaError`].
pub fn package(
    spark: &str,
    scala: &str,
    cache: &Path,
    maven: &Maven,
) -> Result<Vec<Coordinates>, KafkaError> {
    let source = source(spark, scala);
    let pom = maven::pom(&source, cache, maven)?;
    with_dependencies(source, &pom)
}

/// `source`, then what it needs.
fn with_dependencies(source: Coordinates, pom: &str) -> Result<Vec<Coordinates>, KafkaError> {
    let bad = |why: String| KafkaError::Pom {
        source_name: source.to_string(),
        why,
    };
    let document =
        roxmltree::Document::parse(pom).map_err(|error| bad(format!("cannot be read: {error}")))?;
    let mut found = vec![source.clone()];
    for (group, artifact) in NEEDED {
        let dependency = dependencies(&document)
            .find(|it| it.group == group && matches(artifact, &it.artifact) && it.is_compiled);
        let dependency = dependency.ok_or_else(|| bad(format!("names no {group}:{artifact}")))?;
        let text = format!("{}:{}:{}", group, dependency.artifact, dependency.version);
        found.push(text.parse().map_err(bad)?);
    }
    Ok(found)
}

/// A prefix that ends with `_` is followed by the Scala version.
fn matches(wanted: &str, artifact: &str) -> bool {
    match wanted.ends_with('_') {
        true => artifact.starts_with(wanted),
        false => artifact == wanted,
    }
}

struct Dependency {
    group: String,
    artifact: String,
    version: String,
    /// A jar of scope `compile`.
    is_compiled: bool,
}

/// The direct dependencies of a POM.
fn dependencies<'a>(
    document: &'a roxmltree::Document<'_>,
) -> impl Iterator<Item = Dependency> + 'a {
    let root = document.root_element();
    let of_name =
        |name: &'static str| move |node: &roxmltree::Node<'_, '_>| node.tag_name().name() == name;
    let lists = root.children().filter(of_name("dependencies"));
    let all = lists.flat_map(move |list| list.children().filter(of_name("dependency")));
    all.map(move |node| {
        let text = |name: &'static str| {
            let child = node.children().find(of_name(name));
            child
                .and_then(|child| child.text())
                .map(|text| text.trim().to_owned())
        };
        Dependency {
            group: text("groupId").unwrap_or_default(),
            artifact: text("artifactId").unwrap_or_default(),
            version: text("version").unwrap_or_default(),
            is_compiled: text("scope").is_none_or(|scope| scope == "compile")
                && text("type").is_none_or(|kind| kind == "jar"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(group: &str, artifact: &str, version: &str, rest: &str) -> String {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>\
             <version>{version}</version>{rest}</dependency>"
        )
    }

    fn pom(dependencies: &[String]) -> String {
        format!(
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><dependencies>{}</dependencies>\
             </project>",
            dependencies.concat()
        )
    }

    #[test]
    fn the_versions_are_those_of_the_pom() {
        let token = "spark-token-provider-kafka-0-10_2.12";
        let spark = "org.apache.spark";
        let text = pom(&[
            dependency(
                spark,
                token,
                "9.9",
                "<type>test-jar</type><scope>test</scope>",
            ),
            dependency(spark, token, "3.3.1", "<scope>compile</scope>"),
            dependency(spark, "spark-sql_2.12", "3.3.1", "<scope>provided</scope>"),
            dependency("org.apache.kafka", "kafka-clients", "2.8.1", ""),
            dependency("org.apache.commons", "commons-pool2", "2.11.1", ""),
        ]);
        let found = with_dependencies(source("3.3.1", "2.12"), &text).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "org.apache.spark:spark-sql-kafka-0-10_2.12:3.3.1",
                "org.apache.spark:spark-token-provider-kafka-0-10_2.12:3.3.1",
                "org.apache.kafka:kafka-clients:2.8.1",
                "org.apache.commons:commons-pool2:2.11.1",
            ]
        );
    }

    #[test]
    fn a_pom_that_lacks_one_or_leaves_a_version_open_is_refused() {
        let why = |text: &str| {
            with_dependencies(source("3.3.1", "2.12"), text)
                .unwrap_err()
                .to_string()
        };
        assert!(why("<project/>").contains("names no org.apache.spark"));
        assert!(why("nothing").contains("cannot be read"));
        let token = "spark-token-provider-kafka-0-10_2.12";
        let open = pom(&[dependency(
            "org.apache.spark",
            token,
            "${spark.version}",
            "",
        )]);
        assert!(why(&open).contains("holds a character that no Maven name has"));
    }
}
