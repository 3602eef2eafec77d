//! The first call of a starting worker: dispatch, revocation, deaths, shutdown, `resize`.

use super::*;

/// Workers 1 to `max_workers`, all starting, each with its first call.
fn starting(max_workers: usize, rules: Rules) -> Pool {
    let mut pool = Pool::with(max_workers, Rules { early_dispatch: true, ..rules });
    pool.submit_many(max_workers);
    for worker in pool.started() {
        pool.scheduler.worker_launched(pool.now, worker);
        check(&mut pool, &[&format!("{0} to {0}", worker.0)]);
    }
    pool
}

fn revoke(pool: &mut Pool, calls: &[u64]) {
    for call in calls {
        pool.scheduler.call_revoked(pool.now, CallId::nth(*call));
    }
    pool.scheduler.advance(pool.now);
}

fn ready(pool: &mut Pool, worker: u64) {
    pool.scheduler.worker_ready(pool.now, WorkerId(worker));
}

#[test]
fn starting_worker_gets_one_call() {
    let mut pool = starting(2, Rules::default());
    pool.submit_many(2);
    check(&mut pool, &[]);
    ready(&mut pool, 1);
    check(&mut pool, &[]);
    pool.finish(1, CallId::nth(1), LONG);
    check(&mut pool, &["3 to 1"]);
    assert_eq!(pool.scheduler.starting_workers(), 1);
}

#[test]
fn starting_worker_without_early_dispatch_or_surplus_gets_no_call() {
    let mut pool = Pool::new(2, CrashPolicy::Heal);
    pool.submit();
    pool.actions();
    pool.scheduler.worker_launched(pool.now, WorkerId(1));
    check(&mut pool, &[]);

    let mut pool = Pool::with(2, Rules { early_dispatch: true, ..Rules::default() });
    pool.submit();
    pool.actions();
    pool.scheduler.resize(pool.now, 1);
    check(&mut pool, &["retire 2"]);
    pool.scheduler.worker_launched(pool.now, WorkerId(2));
    check(&mut pool, &[]);
}

#[test]
fn idle_worker_takes_oldest_first_call() {
    let mut pool = starting(4, Rules::default());
    ready(&mut pool, 4);
    check(&mut pool, &[]);
    pool.finish(4, CallId::nth(4), LONG);
    check(&mut pool, &["1 revoked from 1"]);
    revoke(&mut pool, &[1]);
    check(&mut pool, &["1 to 4"]);
    // Two workers become idle at once.
    ready(&mut pool, 1);
    check(&mut pool, &["2 revoked from 2"]);
    pool.finish(4, CallId::nth(1), LONG);
    check(&mut pool, &["3 revoked from 3", "2 revoked from 2"]);
    revoke(&mut pool, &[3, 2]);
    check(&mut pool, &["2 to 4", "3 to 1"]);
}

#[test]
fn begun_first_call_is_not_revoked() {
    let mut pool = starting(2, Rules::default());
    ready(&mut pool, 2);
    pool.finish(2, CallId::nth(2), LONG);
    check(&mut pool, &["1 revoked from 1"]); // It has begun, so the pool does not report `call_revoked`.
    pool.crash(WorkerId(1), &[CallId::nth(1)]);
    check(&mut pool, &["1 terminated, began true in 1", "start 3 as 0"]);
}

#[test]
fn slow_start_requeues_first_calls_in_order() {
    let mut pool = starting(3, Rules::default());
    pool.submit();
    assert_eq!(pool.scheduler.next_timer(), Some(pool.now + limits::REVOKE_STARTING_AFTER));
    pool.pass(limits::REVOKE_STARTING_AFTER);
    check(&mut pool, &["3 revoked from 3", "2 revoked from 2", "1 revoked from 1"]);
    revoke(&mut pool, &[3, 2, 1]);
    check(&mut pool, &[]); // Each has had its first call.
    assert_eq!(pool.scheduler.depth(), 1, "a slow start is no run time");
    for (worker, expected) in [(2, "1 to 2"), (3, "2 to 3"), (1, "3 to 1")] {
        ready(&mut pool, worker);
        check(&mut pool, &[expected]);
    }
}

#[test]
fn death_at_start_does_not_count_against_first_call() {
    let mut pool = starting(1, Rules::default());
    for worker in 1..u64::from(limits::MAX_UNUSED_DEATHS) {
        pool.exit(WorkerId(worker));
        check(&mut pool, &[&format!("start {} as 0", worker + 1)]);
        pool.scheduler.worker_launched(pool.now, WorkerId(worker + 1));
        check(&mut pool, &[&format!("1 to {}", worker + 1)]);
    }
    pool.exit(WorkerId(limits::MAX_UNUSED_DEATHS.into()));
    check(&mut pool, &["1 broken", "end"]);
}

#[test]
fn failed_start_with_first_call_breaks_pool() {
    let mut pool = starting(1, Rules::default());
    pool.submit();
    pool.pass(limits::HANDSHAKE);
    check(&mut pool, &["1 broken in 1", "2 broken", "kill 1"]);

    let mut pool = starting(1, Rules { policy: CrashPolicy::BreakPool, ..Rules::default() });
    pool.exit(WorkerId(1));
    check(&mut pool, &["1 broken", "end"]);

    let mut pool = starting(1, Rules::default());
    let exit = WorkerExit::new(1, Some(0), None);
    pool.scheduler.worker_exited(pool.now, WorkerId(1), exit, &[]);
    check(&mut pool, &["1 broken", "end"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("not broken") };
    assert!(cause.is_handshake(), "{cause}");
}

#[test]
fn shutdown_revokes_or_resolves_first_calls() {
    let mut pool = starting(2, Rules::default());
    pool.scheduler.shutdown(pool.now, Shutdown::CancelPending);
    check(&mut pool, &["1 revoked from 1", "2 revoked from 2"]);
    revoke(&mut pool, &[1, 2]);
    check(&mut pool, &["1 cancelled", "2 cancelled", "retire 1", "retire 2"]);

    let mut pool = starting(1, Rules::default());
    pool.scheduler.shutdown(pool.now, Shutdown::Kill);
    check(&mut pool, &["1 shut down in 1", "kill 1"]);

    // An idle worker stays while a first call may be revoked for it.
    let mut pool = starting(2, Rules::default());
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    ready(&mut pool, 1);
    pool.finish(1, CallId::nth(1), LONG);
    check(&mut pool, &["2 revoked from 2"]);
    revoke(&mut pool, &[2]);
    check(&mut pool, &["2 to 1", "retire 2"]);
}

#[test]
fn surplus_starting_worker_loses_first_call_and_retires() {
    let mut pool = starting(2, Rules::default());
    pool.scheduler.resize(pool.now, 1);
    check(&mut pool, &["2 revoked from 2"]);
    revoke(&mut pool, &[2]);
    check(&mut pool, &["retire 2"]);
}

#[test]
fn starting_worker_with_call_does_not_fill_vacancy() {
    let mut pool = starting(2, Rules { idle_timeout: Some(LONG), ..Rules::default() });
    [1, 2].into_iter().for_each(|worker| ready(&mut pool, worker));
    [1, 2].into_iter().for_each(|worker| pool.finish(worker, CallId::nth(worker), LONG));
    pool.pass(LONG);
    check(&mut pool, &["retire 1", "retire 2"]);
    pool.exit(WorkerId(1));
    pool.exit(WorkerId(2));
    pool.submit();
    check(&mut pool, &["start 3 as 0"]);
    pool.scheduler.worker_launched(pool.now, WorkerId(3));
    check(&mut pool, &["3 to 3"]);
    pool.submit();
    check(&mut pool, &["start 4 as 1"]);
}

#[test]
fn ready_worker_prefetches_before_starting_worker_gets_call() {
    let mut pool = Pool::with(2, Rules { early_dispatch: true, ..Rules::default() });
    pool.submit();
    pool.actions();
    pool.scheduler.worker_launched(pool.now, WorkerId(1));
    check(&mut pool, &["1 to 1"]);
    ready(&mut pool, 1);
    pool.finish(1, CallId::nth(1), Duration::ZERO);
    pool.submit_many(2);
    check(&mut pool, &["2 to 1", "3 to 1"]);
    pool.scheduler.worker_launched(pool.now, WorkerId(2));
    check(&mut pool, &[]);
}
