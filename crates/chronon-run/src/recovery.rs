//! What a run that was killed hard has left behind.

use std::time::Duration;

use chronon_run_ledger::Ledger;
use chronon_run_process::end_group;

use crate::{context::now_millis, output::note};

/// Ends processes whose run is gone, so that nothing writes beside the run to come, and notes
/// in the ledger that their attempts will never finish.
pub(crate) fn end_survivors(ledger: &mut Ledger, grace: Duration) {
    for survivor in ledger.survivors() {
        let attempt = &survivor.attempt;
        let ended = survivor
            .process
            .is_some_and(|process| end_group(process, grace));
        if ended {
            note(&format!(
                "ended a process that run {} left behind: {} {}",
                attempt.run, attempt.asset, attempt.range
            ));
        }
        ledger.mark_abandoned(attempt, now_millis());
    }
}
