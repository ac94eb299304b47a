//! Which jars reach the class path of driver and tasks of an online mode.
//!
//! run.py passes the online jar to the Driver only (`--online-jar`) and removes `CHRONON_ONLINE_JAR`
//! before it calls the script, whose `--jars` is empty then. The Driver loads the class with a class
//! loader of its own; the tasks cannot, and the query ends in its first batch with a
//! `ClassCastException`. So the online jar, and the Kafka source of a streaming app, are passed as
//! `--jars` as well, which Spark distributes with every master.

/// Jars besides the online jar.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClassPath {
    /// The value of `spark.jars` that the user has set: `--jars` would replace it.
    pub user_jars: Option<String>,
    /// Jars that are added, e.g. the Kafka source of Spark.
    pub added: Vec<String>,
}

impl ClassPath {
    /// The value of `--jars`: the online jar, the user's own jars, and the added ones, each once.
    #[must_use]
    pub fn with_online_jar(&self, online_jar: &str) -> String {
        let user = self.user_jars.as_deref().unwrap_or_default().split(',');
        let all = std::iter::once(online_jar)
            .chain(user)
            .chain(self.added.iter().map(String::as_str))
            .map(str::trim)
            .filter(|jar| !jar.is_empty());
        let mut jars: Vec<&str> = Vec::new();
        for jar in all {
            if !jars.contains(&jar) {
                jars.push(jar);
            }
        }
        jars.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_s_jars_stay_and_each_jar_is_named_once() {
        let class_path = ClassPath {
            user_jars: Some("/own/a.jar, /online.jar,".to_owned()),
            added: ["/cache/kafka.jar", "/own/a.jar"].map(str::to_owned).into(),
        };
        assert_eq!(
            class_path.with_online_jar("/online.jar"),
            "/online.jar,/own/a.jar,/cache/kafka.jar"
        );
        assert_eq!(ClassPath::default().with_online_jar("x.jar"), "x.jar");
    }
}
