use super::*;

/// Workers 1 to `max_workers`, which were started and are not up, and as many calls, which lie with them.
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
fn a_worker_that_is_started_gets_one_call_before_it_is_up() {
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
fn it_gets_none_where_the_rules_say_so_or_when_it_is_not_wanted_any_more() {
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
fn whoever_becomes_idle_first_takes_the_oldest_of_what_lies_there() {
    let mut pool = starting(4, Rules::default());
    ready(&mut pool, 4);
    check(&mut pool, &[]);
    pool.finish(4, CallId::nth(4), LONG);
    check(&mut pool, &["1 back from 1"]);
    revoke(&mut pool, &[1]);
    check(&mut pool, &["1 to 4"]);
    // Two at once.
    ready(&mut pool, 1);
    check(&mut pool, &["2 back from 2"]);
    pool.finish(4, CallId::nth(1), LONG);
    check(&mut pool, &["3 back from 3", "2 back from 2"]);
    revoke(&mut pool, &[3, 2]);
    check(&mut pool, &["2 to 4", "3 to 1"]);
}

#[test]
fn one_that_has_begun_it_keeps_it() {
    let mut pool = starting(2, Rules::default());
    ready(&mut pool, 2);
    pool.finish(2, CallId::nth(2), LONG);
    check(&mut pool, &["1 back from 1"]); // Too late.
    pool.crash(WorkerId(1), &[CallId::nth(1)]);
    check(&mut pool, &["1 terminated, began true in 1", "start 3 as 0"]);
}

#[test]
fn what_lies_with_those_that_do_not_come_up_is_taken_back_and_goes_first() {
    let mut pool = starting(3, Rules::default());
    pool.submit();
    assert_eq!(pool.scheduler.next_timer(), Some(pool.now + limits::REVOKE_STARTING_AFTER));
    pool.pass(limits::REVOKE_STARTING_AFTER);
    check(&mut pool, &["3 back from 3", "2 back from 2", "1 back from 1"]);
    revoke(&mut pool, &[3, 2, 1]);
    check(&mut pool, &[]); // They had theirs.
    assert_eq!(pool.scheduler.depth(), 1, "that says nothing of how long calls run");
    for (worker, expected) in [(2, "1 to 2"), (3, "2 to 3"), (1, "3 to 1")] {
        ready(&mut pool, worker);
        check(&mut pool, &[expected]);
    }
}

#[test]
fn a_death_before_that_is_not_the_calls_fault() {
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
fn the_pool_breaks_as_without_it() {
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
fn shutdowns_find_it_there() {
    let mut pool = starting(2, Rules::default());
    pool.scheduler.shutdown(pool.now, Shutdown::CancelPending);
    check(&mut pool, &["1 back from 1", "2 back from 2"]);
    revoke(&mut pool, &[1, 2]);
    check(&mut pool, &["1 cancelled", "2 cancelled", "retire 1", "retire 2"]);

    let mut pool = starting(1, Rules::default());
    pool.scheduler.shutdown(pool.now, Shutdown::Kill);
    check(&mut pool, &["1 shut down in 1", "kill 1"]);

    // Who is idle may still be needed for what lies with one that is not up.
    let mut pool = starting(2, Rules::default());
    pool.scheduler.shutdown(pool.now, Shutdown::Wait);
    ready(&mut pool, 1);
    pool.finish(1, CallId::nth(1), LONG);
    check(&mut pool, &["2 back from 2"]);
    revoke(&mut pool, &[2]);
    check(&mut pool, &["2 to 1", "retire 2"]);
}

#[test]
fn one_that_is_too_many_gives_it_back_and_leaves() {
    let mut pool = starting(2, Rules::default());
    pool.scheduler.resize(pool.now, 1);
    check(&mut pool, &["2 back from 2"]);
    revoke(&mut pool, &[2]);
    check(&mut pool, &["retire 2"]);
}

#[test]
fn one_that_has_its_call_is_not_there_for_the_next() {
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
fn those_that_are_up_come_first_where_calls_are_short() {
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
