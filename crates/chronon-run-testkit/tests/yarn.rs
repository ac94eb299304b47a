//! The fake ResourceManager, seen by the client that is shipped.

use std::time::Duration;

use chronon_run_engine::cluster::{Cluster, ClusterError};
use chronon_run_testkit::yarn::{FakeApplication, FakeYarn};

const ID: &str = "application_1769860800000_0001";
const LONG: Duration = Duration::from_secs(60);

#[test]
fn applications_are_listed_ended_and_waited_for() {
    let fake = FakeYarn::start().unwrap();
    let cluster = Cluster::yarn(&fake.url(), Some("ann"));
    assert_eq!(cluster.applications().unwrap(), []);
    fake.put(FakeApplication {
        lingers: 2,
        ..FakeApplication::running(ID, "chronon_joins_backfill_production_a.b")
    });
    let listed = cluster.applications().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].name, "chronon_joins_backfill_production_a.b");
    assert_eq!(listed[0].queue, "default");
    assert!(cluster.runs(ID).unwrap());
    assert!(cluster.end(ID, LONG).unwrap());
    assert_eq!(fake.killed(), [ID]);
    assert_eq!(fake.applications()[0].state, "KILLED");
    // What has ended, or was forgotten, is not told to end.
    assert!(!cluster.end(ID, LONG).unwrap());
    assert!(!cluster.end("application_1_0002", LONG).unwrap());
    assert_eq!(fake.killed().len(), 1);
}

#[test]
fn who_may_not_end_it_is_told_so() {
    let fake = FakeYarn::start().unwrap();
    fake.put(FakeApplication::running(ID, "a"));
    fake.refuse_kills();
    let cluster = Cluster::yarn(&fake.url(), None);
    let error = cluster.end(ID, LONG).unwrap_err();
    let text = error.to_string();
    assert!(
        text.ends_with("answered: status 403 User dr.who does not have privilege to kill"),
        "{text}"
    );
    let url = fake.url();
    drop(fake);
    let error = Cluster::yarn(&url, None).runs(ID).unwrap_err();
    assert!(matches!(error, ClusterError::OutOfReach { .. }));
}

#[test]
fn what_does_not_end_may_still_write() {
    let fake = FakeYarn::start().unwrap();
    fake.put(FakeApplication {
        lingers: u32::MAX,
        ..FakeApplication::running(ID, "a")
    });
    let cluster = Cluster::yarn(&fake.url(), None);
    let error = cluster.end(ID, Duration::ZERO).unwrap_err();
    assert!(matches!(error, ClusterError::RunsOn { .. }));
}
