//! Two checkouts of one repo over one metastore: one writer at a time, whatever the host.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chronon_run_catalog::{Hive, Timeouts, embedded::Lease};
use chronon_run_testkit::{
    driver::{Commit, Write},
    scripted::{Backend, CATALOG, Fault},
};

use crate::{
    nothing_lost::metastore,
    staged::{Staged, all_days, fault_of},
    support::{Screen, signal, wait_until},
};

/// Names the host where a run takes place.
const HOST: &str = "CHRONON_RUN_HOST";

struct Checkouts {
    one: Staged,
    other: Staged,
    server: String,
    _lease: Lease,
}

impl Checkouts {
    fn new() -> Self {
        let (one, other) = (Staged::chain(), Staged::chain());
        let lease = metastore(&one.workspace.path("server"));
        let server = lease.uri();
        let source = |table: &str| Write::days(table.parse().unwrap(), all_days());
        let writes = ["lake.a", "lake.b"].map(source).to_vec();
        Backend::open(&server)
            .unwrap()
            .apply(&[Commit { writes }])
            .unwrap();
        for staged in [&one, &other] {
            staged.workspace.edit(
                "workspace.toml",
                "kind = \"fixture\"\npath = \"catalog.json\"",
                &format!("kind = \"hive\"\nuri = \"{server}\""),
            );
        }
        one.faults(&[Fault {
            slow_millis: 600_000,
            ..fault_of("one")
        }]);
        Self {
            one,
            other,
            server,
            _lease: lease,
        }
    }

    fn command(&self, staged: &Staged, host: &str, args: &[&str]) -> Command {
        let mut command = staged.command(args);
        command.env(CATALOG, &self.server).env(HOST, host);
        command
    }

    /// A run of the first checkout that does not come to an end.
    fn start(&self, host: &str) -> Child {
        let before = self.one.calls().len();
        let mut run = self.command(&self.one, host, &["materialize", "team.one"]);
        let run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        wait_until("one runs", || self.one.calls().len() > before);
        run.unwrap()
    }

    fn second(&self, host: &str) -> Screen {
        let mut run = self.command(&self.other, host, &["materialize", "team.one"]);
        Screen::new(run.output().unwrap(), self.other.workspace.root())
    }

    fn is_refused(&self, host: &str, holder: &str) {
        let refused = self.second(host).expect(4).stderr;
        assert!(
            refused.contains("`out.team_one` is being written by run "),
            "{refused}"
        );
        let place = format!(
            "{} on host {holder} (process ",
            self.one.workspace.root().display()
        );
        assert!(refused.contains(&place), "{refused}");
        assert!(self.other.calls().is_empty());
    }

    fn claims(&self) -> usize {
        let hive = Hive::new(&self.server, Timeouts::default()).unwrap();
        let claims = |database| {
            hive.tables_like(database, "chronon_run_lock_*")
                .unwrap()
                .len()
        };
        claims("default") + claims("out")
    }
}

fn kill(mut run: Child) {
    signal(run.id(), "KILL");
    run.wait().unwrap();
}

#[test]
fn one_writer_on_every_machine() {
    let checkouts = Checkouts::new();
    // The tables' database does not exist yet.
    let run = checkouts.start("red");
    checkouts.is_refused("red", "red");
    checkouts.is_refused("blue", "red");
    kill(run);
    // What another host left dead is dead when it has given no sign of life for a minute.
    let run = checkouts.start("red");
    kill(run);
    let began = Instant::now();
    let filled = checkouts.second("blue").expect(0);
    assert!(
        began.elapsed() >= Duration::from_secs(60),
        "{}",
        filled.text()
    );
    assert_eq!(checkouts.claims(), 0);
    assert_eq!(checkouts.other.started(), ["one"]);
}

#[test]
fn a_dead_run_of_the_same_machine_holds_nothing() {
    let checkouts = Checkouts::new();
    kill(checkouts.start("red"));
    let began = Instant::now();
    checkouts.second("red").expect(0);
    assert!(began.elapsed() < Duration::from_secs(50));
    assert_eq!(checkouts.claims(), 0);
}
