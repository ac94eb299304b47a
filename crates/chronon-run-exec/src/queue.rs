//! Which job may start next. Pure: no threads, no clock.
//!
//! A job waits for its `after` steps to *succeed*, and for its `once_over` steps and the job before it
//! in its family to *end*. Among the ready ones the head of the costliest chain goes first, then plan order, so
//! the order depends on the jobs alone.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use chronon_run_core::event::StepIndex;

use crate::Job;

/// A list of jobs that cannot be run.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JobsError {
    /// Two jobs have one step number.
    #[error("step {0} is in the run twice")]
    Duplicate(StepIndex),
    /// A job waits for one that comes later, or for itself.
    #[error("step {step} waits for step {after}, which does not come before it")]
    OutOfOrder {
        /// The job.
        step: StepIndex,
        /// What it waits for.
        after: StepIndex,
    },
}

/// A job's place in the list that the run was given.
pub(crate) type Position = usize;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Not started; `blockers` says whether it could be.
    Waiting,
    /// Handed out, or waiting for a retry.
    Taken,
    /// Finished or skipped.
    Over,
}

struct Node {
    state: State,
    /// Unfinished `after` and `once_over` steps, plus one for an unfinished predecessor in the family.
    blockers: usize,
    /// Jobs that need this one to succeed.
    dependents: Vec<Position>,
    /// Jobs that need this one to be over.
    followers: Vec<Position>,
    /// Whether every earlier job of the family is over.
    has_turn: bool,
    /// The next job of the family.
    next_in_family: Option<Position>,
    /// Cost of the costliest chain that begins here.
    priority: u64,
}

/// The jobs that are not over.
pub(crate) struct Queue {
    nodes: Vec<Node>,
    steps: Vec<StepIndex>,
    ready: BTreeSet<(Reverse<u64>, Position)>,
}

impl Queue {
    pub(crate) fn new(jobs: &[Job]) -> Result<Self, JobsError> {
        let mut queue = Self {
            nodes: link(jobs)?,
            steps: jobs.iter().map(|job| job.step).collect(),
            ready: BTreeSet::new(),
        };
        prioritise(&mut queue.nodes, jobs);
        for position in 0..jobs.len() {
            queue.offer(position);
        }
        Ok(queue)
    }

    /// Takes the next ready job out.
    pub(crate) fn pop(&mut self) -> Option<Position> {
        let (_, position) = self.ready.pop_first()?;
        self.nodes[position].state = State::Taken;
        Some(position)
    }

    /// Puts a job that was taken back among the ready ones, for another attempt.
    pub(crate) fn put_back(&mut self, position: Position) {
        self.nodes[position].state = State::Waiting;
        self.offer(position);
    }

    /// Ends a job that was taken. If it failed, everything that needs it is over too and is
    /// returned in plan order.
    pub(crate) fn finish(&mut self, position: Position, succeeded: bool) -> Vec<Position> {
        self.end(position);
        if succeeded {
            for dependent in self.nodes[position].dependents.clone() {
                self.unblock(dependent);
            }
            return Vec::new();
        }
        let mut skipped = BTreeSet::new();
        let mut unseen = self.nodes[position].dependents.clone();
        while let Some(dependent) = unseen.pop() {
            if self.nodes[dependent].state == State::Waiting && skipped.insert(dependent) {
                self.end(dependent);
                unseen.extend_from_slice(&self.nodes[dependent].dependents);
            }
        }
        skipped.into_iter().collect()
    }

    /// Ends every later job of the family of a job that was taken; they are returned in plan
    /// order, and what needs them is over too. To be called before [`Queue::finish`].
    pub(crate) fn stop_family(&mut self, position: Position) -> Vec<Position> {
        let mut stopped = Vec::new();
        while let Some(next) = self.nodes[position].next_in_family {
            self.nodes[position].next_in_family = self.nodes[next].next_in_family;
            if self.nodes[next].state == State::Waiting {
                // It never has a turn, so there is none to pass on.
                stopped.push(next);
                stopped.extend(self.finish(next, false));
            }
        }
        stopped.sort_unstable();
        stopped
    }

    /// Ends every job that was not taken, in plan order.
    pub(crate) fn drain(&mut self) -> Vec<Position> {
        self.ready.clear();
        let waiting = |(position, node): (Position, &mut Node)| {
            let waits = node.state == State::Waiting;
            waits.then(|| {
                node.state = State::Over;
                position
            })
        };
        self.nodes
            .iter_mut()
            .enumerate()
            .filter_map(waiting)
            .collect()
    }

    /// Whether any job was neither taken nor is over.
    pub(crate) fn has_waiting(&self) -> bool {
        self.nodes.iter().any(|node| node.state == State::Waiting)
    }

    /// The step number of a position.
    pub(crate) fn step(&self, position: Position) -> StepIndex {
        self.steps[position]
    }

    fn end(&mut self, position: Position) {
        let node = &mut self.nodes[position];
        node.state = State::Over;
        self.ready.remove(&(Reverse(node.priority), position));
        let followers = std::mem::take(&mut node.followers);
        if node.has_turn {
            self.pass_turn(position);
        }
        for follower in followers {
            self.unblock(follower);
        }
    }

    /// Lets the next job of the family go that is not over already. A job that was skipped
    /// while an earlier one still runs has no turn to pass.
    fn pass_turn(&mut self, position: Position) {
        let mut next = self.nodes[position].next_in_family;
        while let Some(position) = next {
            let node = &mut self.nodes[position];
            node.has_turn = true;
            if node.state != State::Over {
                self.unblock(position);
                return;
            }
            next = node.next_in_family;
        }
    }

    fn unblock(&mut self, position: Position) {
        self.nodes[position].blockers -= 1;
        self.offer(position);
    }

    fn offer(&mut self, position: Position) {
        let node = &self.nodes[position];
        if node.blockers == 0 && node.state == State::Waiting {
            self.ready.insert((Reverse(node.priority), position));
        }
    }
}

/// The nodes and what blocks them; priorities are left 0.
fn link(jobs: &[Job]) -> Result<Vec<Node>, JobsError> {
    let mut positions = HashMap::with_capacity(jobs.len());
    for (position, job) in jobs.iter().enumerate() {
        if positions.insert(job.step, position).is_some() {
            return Err(JobsError::Duplicate(job.step));
        }
    }
    let mut nodes: Vec<Node> = Vec::with_capacity(jobs.len());
    let mut last_of_family: HashMap<&str, Position> = HashMap::new();
    for (position, job) in jobs.iter().enumerate() {
        let needed: BTreeSet<StepIndex> = job.after.iter().copied().collect();
        let once_over = job.once_over.iter().copied();
        let once_over: BTreeSet<StepIndex> =
            once_over.filter(|step| !needed.contains(step)).collect();
        let mut blockers = 0;
        let waits = needed.iter().map(|after| (*after, true));
        for (after, to_succeed) in waits.chain(once_over.iter().map(|after| (*after, false))) {
            match positions.get(&after) {
                Some(&earlier) if earlier < position => {
                    let node = &mut nodes[earlier];
                    match to_succeed {
                        true => node.dependents.push(position),
                        false => node.followers.push(position),
                    }
                }
                Some(_) => {
                    let step = job.step;
                    return Err(JobsError::OutOfOrder { step, after });
                }
                None => continue,
            }
            blockers += 1;
        }
        let predecessor = last_of_family.insert(&job.family, position);
        if let Some(earlier) = predecessor {
            nodes[earlier].next_in_family = Some(position);
            blockers += 1;
        }
        nodes.push(Node {
            state: State::Waiting,
            blockers,
            dependents: Vec::new(),
            followers: Vec::new(),
            has_turn: predecessor.is_none(),
            next_in_family: None,
            priority: 0,
        });
    }
    Ok(nodes)
}

/// Every edge leads to a later position, so one pass from the end sees successors first.
fn prioritise(nodes: &mut [Node], jobs: &[Job]) {
    for position in (0..nodes.len()).rev() {
        let node = &nodes[position];
        let after = node.dependents.iter().chain(&node.followers);
        let after = after.chain(&node.next_in_family);
        let behind = after.map(|&next| nodes[next].priority).max().unwrap_or(0);
        // An unknown cost still counts a little, so that long chains go first.
        let own = jobs[position].cost.max(1);
        nodes[position].priority = own.saturating_add(behind);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Retries;

    fn job(step: StepIndex, family: &str, after: &[StepIndex], cost: u64) -> Job {
        Job {
            step,
            asset: "group_by/a.b/backfill".parse().unwrap(),
            range: chronon_run_core::PartitionRange::day("2026-01-01".parse().unwrap()),
            family: family.to_owned(),
            after: after.to_vec(),
            once_over: Vec::new(),
            timeout: None,
            retries: Retries::NONE,
            bisect: false,
            more_memory: false,
            cost,
        }
    }

    /// A follower waits for the end of the other, whatever it is like.
    #[test]
    fn a_follower_goes_on_after_a_failure() {
        let mut follower = job(2, "c", &[], 0);
        follower.once_over = vec![0, 1];
        let jobs = [job(0, "a", &[], 0), job(1, "b", &[0], 0), follower];
        let mut queue = Queue::new(&jobs).unwrap();
        assert_eq!(popped(&mut queue), [0]);
        // The second one is skipped, and so is over too.
        assert_eq!(queue.finish(0, false), [1]);
        assert_eq!(popped(&mut queue), [2]);
    }

    fn popped(queue: &mut Queue) -> Vec<Position> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn the_costliest_chain_starts_first_then_plan_order() {
        let jobs = [
            job(0, "a", &[], 1),
            job(1, "b", &[], 5),
            job(2, "c", &[], 1),
            job(3, "d", &[2], 100),
        ];
        let mut queue = Queue::new(&jobs).unwrap();
        assert_eq!(popped(&mut queue), [2, 1, 0]);
        assert!(queue.finish(2, true).is_empty());
        assert_eq!(popped(&mut queue), [3]);
    }

    #[test]
    fn a_family_goes_on_after_a_failure_and_what_needs_it_does_not() {
        let jobs = [
            job(10, "a", &[], 0),
            job(11, "a", &[], 0),
            job(12, "b", &[10], 0),
            job(13, "c", &[12, 99], 0),
        ];
        let mut queue = Queue::new(&jobs).unwrap();
        assert_eq!(popped(&mut queue), [0]);
        assert_eq!(queue.finish(0, false), [2, 3]);
        assert_eq!(popped(&mut queue), [1]);
        assert!(queue.finish(1, true).is_empty());
        assert!(queue.drain().is_empty());
    }

    #[test]
    fn a_family_can_be_stopped() {
        let jobs = [
            job(0, "a", &[], 9),
            job(1, "a", &[], 0),
            job(2, "b", &[1], 0),
            job(3, "a", &[2], 0),
            job(4, "c", &[], 0),
            job(5, "c", &[0], 0),
        ];
        let mut queue = Queue::new(&jobs).unwrap();
        assert_eq!(popped(&mut queue), [0, 4]);
        assert_eq!(queue.stop_family(0), [1, 2, 3]);
        assert_eq!(queue.finish(0, false), [5]);
        assert!(popped(&mut queue).is_empty());
        assert!(queue.drain().is_empty());
    }

    #[test]
    fn impossible_lists_are_refused() {
        let twice = [job(1, "a", &[], 0), job(1, "b", &[], 0)];
        assert_eq!(Queue::new(&twice).err(), Some(JobsError::Duplicate(1)));
        let backwards = [job(1, "a", &[2], 0), job(2, "b", &[], 0)];
        let error = JobsError::OutOfOrder { step: 1, after: 2 };
        assert_eq!(Queue::new(&backwards).err(), Some(error));
        let itself = [job(1, "a", &[1], 0)];
        assert!(Queue::new(&itself).is_err());
    }

    prop_compose! {
        fn some_jobs()(raw in prop::collection::vec(
            (0..4_usize, prop::collection::vec(any::<prop::sample::Index>(), 0..3), 0..9_u64), 1..30,
        )) -> Vec<Job> {
            raw.iter().enumerate().map(|(position, (family, after, cost))| {
                let after: Vec<StepIndex> = if position == 0 { Vec::new() } else {
                    after.iter().map(|index| index.index(position) as StepIndex).collect()
                };
                job(position as StepIndex, &family.to_string(), &after, *cost)
            }).collect()
        }
    }

    proptest! {
        /// Whatever fails and however many run at once: everything ends once, nothing starts
        /// before what it needs, families take turns in order.
        #[test]
        fn every_job_ends_exactly_once(
            jobs in some_jobs(),
            slots in 1..4_usize,
            choices in prop::collection::vec((any::<prop::sample::Index>(), prop::bool::weighted(0.8)), 30),
        ) {
            let mut queue = Queue::new(&jobs).unwrap();
            let mut running: Vec<Position> = Vec::new();
            let mut succeeded = BTreeSet::new();
            let mut over = BTreeSet::new();
            let mut started: Vec<Position> = Vec::new();
            let mut choices = choices.into_iter();
            loop {
                while running.len() < slots && let Some(position) = queue.pop() {
                    let family = &jobs[position].family;
                    prop_assert!(running.iter().all(|&other| &jobs[other].family != family));
                    prop_assert!(started.iter().all(|&other| &jobs[other].family != family || other < position));
                    prop_assert!(jobs[position].after.iter().all(|step| succeeded.contains(step)));
                    started.push(position);
                    running.push(position);
                }
                if running.is_empty() {
                    break;
                }
                let (index, ok) = choices.next().unwrap();
                let position = running.remove(index.index(running.len()));
                prop_assert!(over.insert(position));
                if ok {
                    succeeded.insert(jobs[position].step);
                }
                for skipped in queue.finish(position, ok) {
                    prop_assert!(over.insert(skipped));
                }
            }
            prop_assert_eq!(over.len(), jobs.len());
        }
    }
}
