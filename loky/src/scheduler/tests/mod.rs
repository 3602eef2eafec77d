//! Tests of the scheduler: event by event here and in [`batches`], [`first_call`], [`initializer`] and [`leaving`]; at random in
//! [`simulation`].

mod batches;
mod first_call;
mod initializer;
mod leaving;
mod simulation;

use std::time::Duration;

use super::*;
use crate::calls::CallIds;
use crate::clock;
use crate::config::CrashPolicy;
use crate::error::ErrorKind;
use crate::limits;

/// A scheduler with workers and a clock that exist only in the test.
struct Pool {
    scheduler: Scheduler,
    now: Instant,
    ids: CallIds,
    /// All calls that were ever submitted.
    calls: Vec<CallId>,
}

impl Pool {
    fn new(max_workers: usize, policy: CrashPolicy) -> Self {
        Self::with(max_workers, Rules { policy, ..Rules::default() })
    }

    fn with(max_workers: usize, rules: Rules) -> Self {
        let scheduler = Scheduler::new(max_workers, rules);
        Self { scheduler, now: clock::now(), ids: CallIds::default(), calls: Vec::new() }
    }

    /// A pool with the ready workers 1 to `max_workers`.
    fn ready(max_workers: usize, policy: CrashPolicy) -> Self {
        Self::ready_with(max_workers, Rules { policy, ..Rules::default() })
    }

    fn ready_with(max_workers: usize, rules: Rules) -> Self {
        let mut pool = Self::with(max_workers, rules);
        pool.scheduler.prewarm(pool.now);
        for worker in pool.started() {
            pool.scheduler.worker_ready(pool.now, worker);
        }
        pool.scheduler.end_prewarm(pool.now);
        pool
    }

    fn actions(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.scheduler.poll_action()).collect()
    }

    fn started(&mut self) -> Vec<WorkerId> {
        let actions = self.actions().into_iter();
        actions
            .map(|action| match action {
                Action::Start { worker, .. } => worker,
                other => panic!("not a start: {other:?}"),
            })
            .collect()
    }

    fn submit(&mut self) -> CallId {
        self.submit_batch(1)
    }

    fn submit_batch(&mut self, count: u32) -> CallId {
        let call = self.ids.next_batch(count);
        self.calls.push(call);
        self.scheduler.submit(call, count);
        self.scheduler.advance(self.now);
        call
    }

    fn submit_many(&mut self, n_calls: usize) {
        for _ in 0..n_calls {
            self.submit();
        }
    }

    /// The worker answers a call that took `ran`.
    fn finish(&mut self, worker: u64, call: CallId, ran: Duration) {
        self.scheduler.call_finished(self.now, WorkerId(worker), call, ran);
        self.scheduler.advance(self.now);
    }

    /// A pool with one ready worker, in which the only call so far took `ran`.
    fn after_call(ran: Duration) -> Self {
        let mut pool = Self::ready(1, CrashPolicy::Heal);
        let call = pool.submit();
        pool.actions();
        pool.finish(1, call, ran);
        pool
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.scheduler.timer(self.now);
    }

    /// The worker dies, and had begun these calls.
    fn crash(&mut self, worker: WorkerId, begun: &[CallId]) {
        let exit = WorkerExit::new(1, None, Some(libc::SIGSEGV));
        self.scheduler.worker_exited(self.now, worker, exit, begun);
    }

    fn exit(&mut self, worker: WorkerId) {
        self.crash(worker, &[]);
    }
}

/// Writes actions in short form.
fn shorthand(actions: &[Action]) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Start { worker, index } => format!("start {} as {index}", worker.0),
        Action::Dispatch { worker, call } => format!("{} to {}", call.number, worker.0),
        Action::Revoke { worker, call } => format!("{} revoked from {}", call.number, worker.0),
        Action::Divide { worker, call } => format!("{} divided at {}", call.number, worker.0),
        Action::Resolve { call, worker, verdict } => {
            let verdict = match verdict {
                Verdict::Cancelled => "cancelled".to_owned(),
                Verdict::Terminated { began, .. } => format!("terminated, began {began}"),
                Verdict::Broken(_) => "broken".to_owned(),
                Verdict::ShutDown => "shut down".to_owned(),
                Verdict::NotSpawned(_) => "not spawned".to_owned(),
            };
            let place = worker.map(|worker| format!(" in {}", worker.0)).unwrap_or_default();
            format!("{} {verdict}{place}", call.number)
        }
        Action::Retire { worker, .. } => format!("retire {}", worker.0),
        Action::Kill { worker } => format!("kill {}", worker.0),
        Action::End => "end".to_owned(),
    };
    actions.iter().map(word).collect()
}

#[track_caller]
fn check(pool: &mut Pool, expected: &[&str]) {
    assert_eq!(shorthand(&pool.actions()), expected);
}

#[test]
fn first_call_starts_all_workers_and_runs_on_first_ready_one() {
    let mut pool = Pool::new(2, CrashPolicy::Heal);
    let call = pool.submit();
    check(&mut pool, &["start 1 as 0", "start 2 as 1"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    check(&mut pool, &["1 to 2"]);
    pool.finish(2, call, LONG);
    check(&mut pool, &[]);
}

/// A run time that rules out prefetch.
const LONG: Duration = Duration::from_secs(1);

#[test]
fn worker_death_fails_running_call_only() {
    let mut pool = Pool::ready(1, CrashPolicy::Heal);
    let (running, _waiting) = (pool.submit(), pool.submit());
    check(&mut pool, &["1 to 1"]);
    pool.crash(WorkerId(1), &[running]);
    check(&mut pool, &["1 terminated, began true in 1", "start 2 as 0"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    check(&mut pool, &["2 to 2"]);
}

#[test]
fn unbegun_call_is_resolved_after_repeated_deaths() {
    let mut pool = Pool::ready(1, CrashPolicy::Heal);
    let call = pool.submit();
    for worker in 1..u64::from(limits::MAX_DEATHS_AT_FRONT) {
        check(&mut pool, &[&format!("1 to {worker}")]);
        pool.exit(WorkerId(worker));
        check(&mut pool, &[&format!("start {} as 0", worker + 1)]);
        pool.scheduler.worker_ready(pool.now, WorkerId(worker + 1));
    }
    let last = limits::MAX_DEATHS_AT_FRONT.into();
    check(&mut pool, &[&format!("1 to {last}")]);
    pool.exit(WorkerId(last));
    check(
        &mut pool,
        &[&format!("1 terminated, began false in {last}"), &format!("start {} as 0", last + 1)],
    );
    assert_eq!(pool.scheduler.call_state(call), None, "resolved");
}

#[test]
fn break_pool_policy_fails_all_calls_with_one_cause() {
    let mut pool = Pool::ready(2, CrashPolicy::BreakPool);
    let calls = [pool.submit(), pool.submit(), pool.submit()];
    check(&mut pool, &["1 to 2", "2 to 1"]);
    pool.crash(WorkerId(2), &[calls[0]]);
    check(&mut pool, &["1 terminated, began true in 2", "2 broken in 1", "3 broken", "kill 1"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("not broken") };
    assert_eq!(cause.kind(), ErrorKind::BrokenProcessPool);
    pool.exit(WorkerId(1));
    check(&mut pool, &["end"]);
}

#[test]
fn repeated_deaths_at_start_break_pool() {
    let mut pool = Pool::new(1, CrashPolicy::Heal);
    pool.submit();
    for worker in 1..u64::from(limits::MAX_UNUSED_DEATHS) {
        pool.actions();
        pool.exit(WorkerId(worker));
        assert!(!pool.scheduler.is_broken());
    }
    pool.actions();
    pool.exit(WorkerId(limits::MAX_UNUSED_DEATHS.into()));
    check(&mut pool, &["1 broken", "end"]);
}

#[test]
fn repeated_deaths_of_unused_workers_delay_replacement() {
    let mut pool = Pool::ready(1, CrashPolicy::Heal);
    for worker in 1..u64::from(limits::MAX_UNUSED_DEATHS) {
        pool.exit(WorkerId(worker));
        pool.actions();
        pool.scheduler.worker_ready(pool.now, WorkerId(worker + 1));
    }
    pool.exit(WorkerId(limits::MAX_UNUSED_DEATHS.into()));
    check(&mut pool, &[]);
    assert_eq!(pool.scheduler.next_timer(), Some(pool.now + limits::RESPAWN_PACE));
    pool.pass(limits::RESPAWN_PACE);
    check(&mut pool, &[&format!("start {} as 0", limits::MAX_UNUSED_DEATHS + 1)]);
}

#[test]
fn demand_after_failed_start_tries_again() {
    let error = || Error::new(ErrorKind::Spawn, "no");
    let mut pool = Pool::new(1, CrashPolicy::Heal);
    pool.scheduler.prewarm(pool.now);
    check(&mut pool, &["start 1 as 0"]);
    pool.scheduler.start_failed(pool.now, WorkerId(1), error(), true);
    check(&mut pool, &[]);
    pool.scheduler.demand(pool.now);
    check(&mut pool, &["start 2 as 0"]);
    pool.scheduler.start_failed(pool.now, WorkerId(2), error(), false);
    check(&mut pool, &["end"]);
    pool.scheduler.demand(pool.now);
    check(&mut pool, &[]);
}

#[test]
fn failed_start_fails_calls_or_pool() {
    let error = || Error::new(ErrorKind::Spawn, "no");
    let mut pool = Pool::new(1, CrashPolicy::Heal);
    pool.submit();
    check(&mut pool, &["start 1 as 0"]);
    pool.scheduler.start_failed(pool.now, WorkerId(1), error(), true);
    check(&mut pool, &["1 not spawned"]);
    pool.submit();
    check(&mut pool, &["start 2 as 0"]);
    pool.scheduler.start_failed(pool.now, WorkerId(2), error(), false);
    check(&mut pool, &["2 broken", "end"]);

    // With a live worker the pool goes on, and tries again later.
    let mut pool = Pool::new(2, CrashPolicy::Heal);
    pool.submit();
    pool.actions();
    pool.scheduler.start_failed(pool.now, WorkerId(2), error(), false);
    check(&mut pool, &[]);
    pool.scheduler.worker_ready(pool.now, WorkerId(1));
    check(&mut pool, &["1 to 1"]);
    pool.pass(limits::RESPAWN_PACE);
    check(&mut pool, &["start 3 as 1"]);
}

#[test]
fn missing_handshake_breaks_pool() {
    let mut pool = Pool::new(1, CrashPolicy::Heal);
    pool.submit();
    check(&mut pool, &["start 1 as 0"]);
    pool.pass(limits::HANDSHAKE);
    check(&mut pool, &["1 broken", "kill 1"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("not broken") };
    assert!(cause.is_handshake(), "{cause}");
}

#[test]
fn closed_channel_or_protocol_violation_kills_worker() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    pool.scheduler.channel_closed(pool.now, WorkerId(2));
    pool.submit();
    check(&mut pool, &["1 to 1"]);
    pool.pass(limits::CLOSED);
    check(&mut pool, &["kill 2"]);
    pool.scheduler.worker_misbehaved(pool.now, WorkerId(1), "rubbish");
    check(&mut pool, &["kill 1"]);
    pool.exit(WorkerId(1));
    check(&mut pool, &["start 3 as 0"]);
}

#[test]
fn foreign_process_beside_ready_worker_does_not_break_pool() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    pool.exit(WorkerId(2));
    check(&mut pool, &["start 3 as 1"]);
    let error = Error::new(ErrorKind::Handshake, "another program");
    pool.scheduler.handshake_failed(pool.now, WorkerId(3), error.clone());
    check(&mut pool, &["kill 3"]);
    pool.exit(WorkerId(3));
    check(&mut pool, &[]);
    pool.exit(WorkerId(1));
    pool.pass(limits::RESPAWN_PACE);
    check(&mut pool, &["start 4 as 0", "start 5 as 1"]);
    pool.scheduler.handshake_failed(pool.now, WorkerId(4), error);
    check(&mut pool, &["kill 4", "kill 5"]);
    assert!(pool.scheduler.is_broken());
}

#[test]
fn each_shutdown_ends_pool() {
    for (how, expected) in [
        (Shutdown::Wait, &[][..]),
        (Shutdown::CancelPending, &["2 cancelled", "1 revoked from 1"][..]),
        (Shutdown::Kill, &["1 shut down in 1", "2 shut down", "kill 1"][..]),
    ] {
        let mut pool = Pool::ready(1, CrashPolicy::Heal);
        let calls = [pool.submit(), pool.submit()];
        pool.actions();
        pool.scheduler.shutdown(pool.now, how);
        check(&mut pool, expected);
        assert!(matches!(pool.scheduler.refusal(), Some(Refusal::ShutDown)));
        if how == Shutdown::Wait {
            pool.finish(1, calls[0], LONG);
            check(&mut pool, &["2 to 1"]);
            pool.scheduler.shutdown(pool.now, Shutdown::Kill);
            check(&mut pool, &["2 shut down in 1", "kill 1"]);
        }
        pool.crash(WorkerId(1), &calls);
        assert!(shorthand(&pool.actions()).ends_with(&["end".to_owned()]));
    }
}

#[test]
fn cancel_pending_revokes_and_cancels_unbegun_calls() {
    let mut pool = Pool::after_call(Duration::ZERO);
    let calls = [pool.submit(), pool.submit(), pool.submit()];
    check(&mut pool, &["2 to 1", "3 to 1", "4 to 1"]);
    pool.scheduler.shutdown(pool.now, Shutdown::CancelPending);
    check(&mut pool, &["4 revoked from 1", "3 revoked from 1", "2 revoked from 1"]);
    pool.scheduler.call_revoked(pool.now, calls[2]);
    pool.scheduler.call_revoked(pool.now, calls[1]);
    pool.scheduler.advance(pool.now);
    check(&mut pool, &["4 cancelled", "3 cancelled"]);
    pool.finish(1, calls[0], Duration::ZERO);
    check(&mut pool, &["retire 1"]);
}

#[test]
fn short_calls_are_prefetched_in_equal_shares() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let first = pool.submit();
    pool.actions();
    pool.finish(2, first, Duration::from_micros(50));
    for _ in 0..8 {
        pool.submit();
    }
    let depth = 3;
    let dispatched = shorthand(&pool.actions());
    for worker in ["to 1", "to 2"] {
        let count = dispatched.iter().filter(|action| action.ends_with(worker)).count();
        assert!((2..=depth).contains(&count), "{dispatched:?}");
    }
}

#[test]
fn prefetch_refills_worker_at_half_depth() {
    let mut pool = Pool::after_call(Duration::ZERO);
    let calls: Vec<_> = (0..200).map(|_| pool.submit()).collect();
    let depth = pool.scheduler.depth();
    let half = depth / 2;
    assert_eq!(pool.actions().len(), half + 1, "they came one by one");
    pool.finish(1, calls[0], Duration::ZERO);
    assert_eq!(pool.actions().len(), depth - half);
    for call in &calls[1..depth - half] {
        pool.finish(1, *call, Duration::ZERO);
        assert_eq!(pool.actions().len(), 0);
    }
    pool.finish(1, calls[depth - half], Duration::ZERO);
    assert_eq!(pool.actions().len(), depth - half);
}

#[test]
fn calls_behind_slow_call_are_revoked_and_requeued_first() {
    let mut pool = Pool::after_call(Duration::ZERO);
    let calls: Vec<_> = (0..3).map(|_| pool.submit()).collect();
    check(&mut pool, &["2 to 1", "3 to 1", "4 to 1"]);
    assert_eq!(pool.scheduler.next_timer(), Some(pool.now + limits::REVOKE_AFTER));
    pool.pass(limits::REVOKE_AFTER);
    check(&mut pool, &["4 revoked from 1", "3 revoked from 1"]);
    pool.scheduler.call_revoked(pool.now, calls[2]);
    pool.scheduler.call_revoked(pool.now, calls[1]);
    let last = pool.submit();
    check(&mut pool, &[]);
    assert_eq!(pool.scheduler.next_timer(), None, "no call waits behind it");
    pool.finish(1, calls[0], LONG);
    assert_eq!(shorthand(&pool.actions())[0], "3 to 1");
    pool.finish(1, calls[1], LONG);
    assert_eq!(pool.scheduler.call_state(last), Some(CallState::Queued));
}

#[test]
fn calls_beyond_depth_move_to_idle_worker() {
    let mut pool = Pool::after_call(Duration::ZERO);
    let calls: Vec<_> = (0..6).map(|_| pool.submit()).collect();
    assert_eq!(pool.actions().len(), 6, "all to the one worker");
    pool.scheduler.resize(pool.now, 2);
    check(&mut pool, &["start 2 as 1"]);
    pool.finish(1, calls[0], Duration::from_micros(500));
    check(&mut pool, &[]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    // The depth is 2 now.
    check(&mut pool, &["7 revoked from 1", "6 revoked from 1", "5 revoked from 1"]);
    for call in calls[3..].iter().rev() {
        pool.scheduler.call_revoked(pool.now, *call);
    }
    pool.scheduler.advance(pool.now);
    check(&mut pool, &["5 to 2", "6 to 2"]);
}

#[test]
fn worker_death_requeues_unbegun_calls_in_order() {
    let mut pool = Pool::after_call(Duration::ZERO);
    let calls: Vec<_> = (0..4).map(|_| pool.submit()).collect();
    pool.actions();
    pool.crash(WorkerId(1), &calls[..1]);
    check(&mut pool, &["2 terminated, began true in 1", "start 2 as 0"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(2));
    check(&mut pool, &["3 to 2", "4 to 2", "5 to 2"]);
}

#[test]
fn call_behind_many_crashing_calls_survives() {
    let mut pool = Pool::after_call(Duration::ZERO);
    let calls: Vec<_> = (0..30).map(|_| pool.submit()).collect();
    for (worker, call) in (1..).zip(&calls[..29]) {
        pool.actions();
        pool.crash(WorkerId(worker), &[*call]);
        pool.scheduler.worker_ready(pool.now, WorkerId(worker + 1));
    }
    assert_eq!(pool.scheduler.call_state(calls[29]), Some(CallState::Dispatched(WorkerId(30))));
}

#[test]
fn congested_worker_gets_no_calls() {
    let mut pool = Pool::after_call(Duration::ZERO);
    pool.submit();
    check(&mut pool, &["2 to 1"]);
    pool.scheduler.worker_congested(WorkerId(1));
    pool.submit();
    check(&mut pool, &[]);
    pool.scheduler.worker_writable(pool.now, WorkerId(1));
    check(&mut pool, &["3 to 1"]);
}

#[test]
fn resize_starts_missing_and_retires_surplus_workers() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    pool.scheduler.resize(pool.now, 4);
    check(&mut pool, &["start 3 as 2", "start 4 as 3"]);
    pool.scheduler.worker_ready(pool.now, WorkerId(3));
    let running = pool.submit();
    check(&mut pool, &["1 to 3"]);
    pool.scheduler.resize(pool.now, 2);
    // An idle worker first, then starting ones; not the busy one.
    check(&mut pool, &["retire 2", "retire 1"]);
    pool.scheduler.resize(pool.now, 1);
    check(&mut pool, &["retire 4"]);
    pool.scheduler.resize(pool.now, 1);
    check(&mut pool, &[]);
    let next = pool.submit();
    check(&mut pool, &[]);
    [1, 2, 4].into_iter().for_each(|worker| pool.exit(WorkerId(worker)));
    check(&mut pool, &[]);
    pool.finish(3, running, LONG);
    check(&mut pool, &["2 to 3"]);
    pool.finish(3, next, LONG);
    check(&mut pool, &[]);
}

/// Otherwise it would stay for ever, and no other worker could take its place.
#[test]
fn surplus_worker_retires_after_revocation() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let calls = [pool.submit(), pool.submit()];
    pool.actions();
    pool.scheduler.resize(pool.now, 1);
    check(&mut pool, &[]);
    pool.scheduler.call_revoked(pool.now, calls[0]);
    pool.scheduler.cancel(pool.now, calls[0]);
    check(&mut pool, &["retire 2", "1 cancelled"]);
}

#[test]
fn surplus_worker_retires_after_running_call() {
    let mut pool = Pool::ready(2, CrashPolicy::Heal);
    let calls = [pool.submit(), pool.submit(), pool.submit()];
    check(&mut pool, &["1 to 2", "2 to 1"]);
    pool.scheduler.resize(pool.now, 1);
    check(&mut pool, &[]);
    pool.finish(2, calls[0], LONG);
    check(&mut pool, &["retire 2"]);
    pool.exit(WorkerId(2));
    check(&mut pool, &[]);
    pool.finish(1, calls[1], LONG);
    check(&mut pool, &["3 to 1"]);
}

#[test]
fn late_exit_is_killed_and_crash_while_leaving_is_ignored() {
    let mut pool = Pool::ready(2, CrashPolicy::BreakPool);
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    check(&mut pool, &["retire 1", "retire 2"]);
    pool.exit(WorkerId(1));
    pool.pass(limits::LEAVE);
    check(&mut pool, &["kill 2"]);
    pool.exit(WorkerId(2));
    check(&mut pool, &["end"]);
    assert!(!pool.scheduler.is_broken());
}
