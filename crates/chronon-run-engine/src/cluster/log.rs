//! What a job's log says of its application on the cluster.

use std::sync::LazyLock;

use regex::Regex;

/// Words that come before an id, one per cluster manager and deploy mode. The driver of a
/// standalone cluster comes before its application, which the submitting side never learns.
static ID: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?: with\ app\ ID | Application\ Id: )\ (app-\d{14}-\d+)
        | (?: Submitted\ application | [Aa]pplication\ report\ for )\ (application_\d+_\d+)
        | Application\ Id:\ (application_\d+_\d+)
        | (?: successfully\ submitted\ as | State\ of )\ (driver-\d{14}-\d+)
        | submission\ ID\ (\S+:\S+)\ into\ Kubernetes",
    )
    .ok()
});

/// The id under which the cluster knows the application, from the log of the child that
/// submitted it, or from one line of it; the first that is named. `None` if none is named, as with
/// a local master.
#[must_use]
pub fn application_id(log: &str) -> Option<&str> {
    let found = ID.as_ref()?.captures(log)?;
    found.iter().skip(1).flatten().next().map(|id| id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manager_says_it_in_its_way() {
        let lines = [
            "26/11/23 09:30:00 INFO StandaloneSchedulerBackend: Connected to Spark cluster with app ID app-20261123093000-0001",
            "Spark master: spark://127.0.0.1:7077, Application Id: app-20261123093000-0002",
            "26/11/23 09:30:00 INFO YarnClientImpl: Submitted application application_1700000000000_0003",
            "26/11/23 09:30:01 INFO Client: Application report for application_1700000000000_0004 (state: ACCEPTED)",
            "26/11/23 09:30:00 INFO ClientEndpoint: Driver successfully submitted as driver-20261123093000-0005",
            "26/11/23 09:30:00 INFO LoggingPodStatusWatcherImpl: Deployed Spark application join_a with application ID spark-6 and submission ID ns:join-a-6-driver into Kubernetes",
            "Spark master: yarn, Application Id: application_1700000000000_0007",
        ];
        let ids: Vec<_> = lines
            .iter()
            .filter_map(|line| application_id(line))
            .collect();
        assert_eq!(
            ids,
            [
                "app-20261123093000-0001",
                "app-20261123093000-0002",
                "application_1700000000000_0003",
                "application_1700000000000_0004",
                "driver-20261123093000-0005",
                "ns:join-a-6-driver",
                "application_1700000000000_0007",
            ]
        );
        assert_eq!(
            application_id("Spark master: local[2], Application Id: local-1700000000000"),
            None
        );
        assert_eq!(application_id(&lines.join("\n")), Some(ids[0]));
    }
}
