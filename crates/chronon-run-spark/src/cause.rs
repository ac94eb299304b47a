//! Why a Spark job failed, as far as that decides what to do next.

use chronon_run_core::event::Outcome;

use super::log::quote_error;

/// What kind of trouble ended a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// It, or a part of it, had too little memory: more of it, or fewer days, may help.
    OutOfMemory,
    /// Something around it went away, such as an executor, a machine or the metastore: the same
    /// job may well succeed.
    Infrastructure,
    /// The same job will always fail: a missing table, a query that cannot be analysed, arguments
    /// or a conf that the Driver cannot read.
    Permanent,
    /// Nothing that is known; perhaps the data of one day.
    Unknown,
}

/// Too little memory, as the JVM, YARN, Kubernetes and the kernel report it.
const MEMORY: [&str; 12] = [
    "java.lang.OutOfMemoryError",
    "SparkOutOfMemoryError",
    "GC overhead limit exceeded",
    "exceeding memory limits",
    "for exceeding physical memory",
    "beyond the 'PHYSICAL' memory limit",
    "beyond the 'VIRTUAL' memory limit",
    "OOMKilled",
    "exit code 137",
    "Exit status: 137",
    "insufficient memory for the Java Runtime",
    "Cannot allocate memory",
];

/// A limit of threads (`ulimit -u`, a container's `pids`), which the JVM reports as if memory were short:
/// fewer days would not help.
const THREADS: &str = "unable to create";

/// Something around the job went away.
const SURROUNDINGS: [&str; 21] = [
    "ExecutorLostFailure",
    "Lost executor",
    "Container released on a *lost* node",
    "Container marked as failed",
    "Exit status: 143",
    "exit code 143",
    "was preempted",
    "FetchFailedException",
    "MetadataFetchFailedException",
    "All masters are unresponsive",
    "Master removed our application",
    "TTransportException",
    "Could not connect to meta store",
    "Unable to instantiate org.apache.hadoop.hive",
    "Connection refused",
    "Connection reset",
    "UnknownHostException",
    "SocketTimeoutException",
    "RpcTimeoutException",
    "NoRouteToHostException",
    "SafeModeException",
];

/// The same job will always fail.
const PERMANENT: [&str; 20] = [
    "Table or view not found",
    "Table or view '",
    "NoSuchTableException",
    "NoSuchDatabaseException",
    "AnalysisException",
    "ParseException",
    "cannot resolve",
    "mismatched input",
    "extraneous input",
    "Syntax error",
    "Undefined function",
    "Error in query",
    "already exists",
    "[scallop]",
    "Parsed Json object isn't reversible",
    "SemanticHashException",
    "does NOT exist!",
    "Failed to load class",
    "ClassNotFoundException",
    "NoSuchMethodError",
];

/// Scallop's words come without the prefix where the Driver prints them itself.
const ARGUMENTS: [&str; 4] = [
    "Excess arguments",
    "Unknown option",
    "Unknown subcommand",
    "Required option",
];

/// Why a job failed, from how its child ended and the end of its log.
///
/// The line that [`quote_error`] finds counts most: what is elsewhere in the log may have been
/// survived, as a lost executor is. A process that another process ended with signal 9 is taken for
/// one that the kernel ended because memory was short.
#[must_use]
pub fn cause(outcome: &Outcome, log: &str) -> Cause {
    let line = quote_error(log).unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
    let logged = |words: &[&str]| words.iter().any(|word| log.contains(word));
    let killed = matches!(
        outcome,
        Outcome::Failed { code: 137 } | Outcome::Killed { signal: 9 }
    );
    let terminated = matches!(
        outcome,
        Outcome::Failed { code: 143 } | Outcome::Killed { signal: 15 }
    );
    // Spark wraps a metastore that is out of reach into an AnalysisException.
    let permanent = says(&PERMANENT) && !says(&SURROUNDINGS);
    let threads = log
        .lines()
        .any(|line| line.contains(THREADS) && line.contains("native thread"));
    if threads {
        Cause::Infrastructure
    } else if says(&MEMORY) {
        Cause::OutOfMemory
    } else if permanent || logged(&ARGUMENTS) {
        Cause::Permanent
    } else if killed || logged(&MEMORY) {
        Cause::OutOfMemory
    } else if terminated || logged(&SURROUNDINGS) {
        Cause::Infrastructure
    } else {
        Cause::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Outcome = Outcome::Failed { code: 1 };

    #[test]
    fn too_little_memory() {
        let logs = [
            "26/11/23 08:00:00 ERROR Executor: Exception in task 0.0 in stage 3.0 (TID 7)\n\
             java.lang.OutOfMemoryError: Java heap space\n\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)\n\
             org.apache.spark.SparkException: Job 0 cancelled because SparkContext was shut down\n\
             \tat org.apache.spark.scheduler.DAGScheduler.$anonfun$cleanUp(DAGScheduler.scala:1085)\n",
            "Exception in thread \"main\" org.apache.spark.SparkException: Job aborted due to stage failure: Task 4 in stage 2.0 failed 4 times, most recent failure: Lost task 4.3 in stage 2.0 (TID 61) (node7 executor 9): ExecutorLostFailure (executor 9 exited caused by one of the running tasks) Reason: Container killed by YARN for exceeding physical memory limits. 4.6 GB of 4.5 GB physical memory used. Consider boosting spark.executor.memoryOverhead.\n\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2672)\n",
            "26/11/23 08:00:00 ERROR TaskSchedulerImpl: Lost executor 1 on 10.0.0.4: \nThe executor with id 1 exited with exit code 137(SIGKILL, possible container OOM).\n",
            "OpenJDK 64-Bit Server VM warning: INFO: os::commit_memory(0x00000006c0000000, 4294967296, 0) failed; error='Cannot allocate memory' (errno=12)\n#\n# There is insufficient memory for the Java Runtime Environment to continue.\n",
        ];
        for log in logs {
            assert_eq!(cause(&FAILED, log), Cause::OutOfMemory, "{log}");
        }
        assert_eq!(
            cause(&Outcome::Failed { code: 137 }, "[Stage 3:>  (0 + 2) / 8]"),
            Cause::OutOfMemory
        );
        assert_eq!(
            cause(&Outcome::Killed { signal: 9 }, ""),
            Cause::OutOfMemory
        );
    }

    #[test]
    fn something_around_it_went_away() {
        let logs = [
            "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 4 times, most recent failure: Lost task 0.3 in stage 1.0 (TID 4) (10.0.0.3 executor 2): ExecutorLostFailure (executor 2 exited caused by one of the running tasks) Reason: Remote RPC client disassociated. Likely due to containers exceeding thresholds, or network issues. Check driver logs for WARN messages.\n\tat org.apache.spark.scheduler.DAGScheduler.failJobAndIndependentStages(DAGScheduler.scala:2672)\n",
            "26/11/23 08:00:00 ERROR StandaloneSchedulerBackend: Application has been killed. Reason: All masters are unresponsive! Giving up.\n",
            "Exception in thread \"main\" org.apache.spark.sql.AnalysisException: org.apache.hadoop.hive.ql.metadata.HiveException: java.lang.RuntimeException: Unable to instantiate org.apache.hadoop.hive.ql.metadata.SessionHiveMetaStoreClient\n\
             \tat org.apache.spark.sql.hive.HiveExternalCatalog.withClient(HiveExternalCatalog.scala:110)\n\
             Caused by: MetaException(message:Could not connect to meta store using any of the URIs provided. Most recent failure: org.apache.thrift.transport.TTransportException: java.net.ConnectException: Connection refused\n\
             \tat org.apache.thrift.transport.TSocket.open(TSocket.java:226)\n",
            "Error in query: org.apache.hadoop.hive.ql.metadata.HiveException: java.lang.RuntimeException: Unable to instantiate org.apache.hadoop.hive.ql.metadata.SessionHiveMetaStoreClient\n",
            "26/11/23 08:00:00 INFO Client: Application report for application_1_2 (state: FAILED)\n diagnostics: Application application_1_2 failed 2 times due to AM Container exited with  exitCode: 143\nExit status: 143\n",
        ];
        for log in logs {
            assert_eq!(cause(&FAILED, log), Cause::Infrastructure, "{log}");
        }
        assert_eq!(
            cause(&Outcome::Failed { code: 143 }, ""),
            Cause::Infrastructure
        );
    }

    #[test]
    fn what_will_always_fail() {
        let logs = [
            "Error in query: Table or view not found: does.not_exist; line 3 pos 2;\n'Project ['nope]\n",
            "Exception in thread \"main\" org.apache.spark.sql.AnalysisException: cannot resolve 'nope' given input columns: [a, b]; line 1 pos 7;\n\tat org.apache.spark.sql.catalyst.analysis.package$AnalysisErrorAt.failAnalysis(package.scala:54)\n",
            "Error in query: \nSyntax error at or near 'SELEC'(line 2, pos 0)\n\n== SQL ==\n\nSELEC 1\n^^^\n",
            "[scallop] Error: Excess arguments provided: 'true'\n",
            "Exception in thread \"main\" java.lang.AssertionError: assertion failed: Parsed Json object isn't reversible.\n\tat scala.Predef$.assert(Predef.scala:223)\n",
            "Error: Failed to load class ai.chronon.spark.Driver.\n26/11/23 07:00:00 INFO ShutdownHookManager: Shutdown hook called\n",
            "Exception in thread \"main\" ai.chronon.spark.SemanticHashException: semantic hashes differ\n\tat ai.chronon.spark.JoinBase.tablesToRecompute(JoinBase.scala:500)\n",
        ];
        for log in logs {
            assert_eq!(cause(&FAILED, log), Cause::Permanent, "{log}");
        }
    }

    #[test]
    fn a_lost_executor_that_was_survived_explains_nothing() {
        let log = "26/11/23 08:00:00 ERROR TaskSchedulerImpl: Lost executor 1 on 10.0.0.4: worker lost\n\
            Error in query: Table or view not found: a.b; line 1 pos 14;\n";
        assert_eq!(cause(&FAILED, log), Cause::Permanent);
    }

    #[test]
    fn a_limit_of_threads_is_no_lack_of_memory() {
        for what in [
            "unable to create native thread",
            "unable to create new native thread",
        ] {
            let log = format!(
                "Exception in thread \"main\" java.lang.OutOfMemoryError: {what}: possibly out of memory or process/resource limits reached\n"
            );
            assert_eq!(cause(&FAILED, &log), Cause::Infrastructure);
        }
    }

    #[test]
    fn anything_else_is_unknown() {
        let log = "org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 1 times, most recent failure: Lost task 1.0 in stage 0.0 (TID 1) (192.0.2.2 executor driver): java.lang.ClassCastException: [J cannot be cast to java.lang.Long\n\tat org.apache.spark.sql.execution.BufferedRowIterator.hasNext(BufferedRowIterator.java:43)\n";
        assert_eq!(cause(&FAILED, log), Cause::Unknown);
        assert_eq!(cause(&FAILED, ""), Cause::Unknown);
    }
}
