use super::*;

const LIMIT: Duration = Duration::from_secs(3);

/// Worker 1 runs the initializer, and a call waits.
fn initializing() -> Pool {
    let rules = Rules { initializer: Some("load"), init_timeout: Some(LIMIT), ..Rules::default() };
    let mut pool = Pool::with(1, rules);
    pool.submit();
    assert_eq!(pool.started(), [WorkerId(1)]);
    pool.pass(2 * LIMIT); // The start itself may take its time.
    assert!(pool.scheduler.worker_greeted(pool.now, WorkerId(1)));
    pool.scheduler.initializer_began(WorkerId(1));
    pool
}

#[track_caller]
fn check_broken(pool: &mut Pool, message: &str) {
    check(pool, &["1 broken", "kill 1"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("it is open") };
    assert_eq!((cause.kind(), cause.to_string().as_str()), (ErrorKind::BrokenProcessPool, message));
}

#[test]
fn no_call_is_given_before_it_has_returned() {
    let mut pool = initializing();
    pool.scheduler.advance(pool.now);
    assert_eq!((pool.scheduler.ready_workers(), pool.scheduler.starting_workers()), (0, 1));
    check(&mut pool, &[]);
    assert!(pool.scheduler.worker_ready(pool.now, WorkerId(1)));
    check(&mut pool, &["1 to 1"]);
    assert_eq!(pool.scheduler.next_timer(), None);
}

#[test]
fn one_that_fails_breaks_the_pool() {
    let mut pool = initializing();
    pool.scheduler.initializer_failed(pool.now, WorkerId(1), "failed: no table", None);
    check_broken(&mut pool, "the initializer `load` failed: no table");
}

#[test]
fn one_that_takes_too_long_breaks_the_pool() {
    let mut pool = initializing();
    assert_eq!(pool.scheduler.next_timer(), Some(pool.now + LIMIT));
    pool.pass(LIMIT - Duration::from_millis(1));
    check(&mut pool, &[]);
    pool.pass(Duration::from_millis(1));
    check_broken(&mut pool, "the initializer `load` did not finish within 3s (`init_timeout`)");
}

#[test]
fn one_that_ends_its_worker_breaks_the_pool() {
    let mut pool = initializing();
    pool.exit(WorkerId(1));
    check(&mut pool, &["1 broken", "end"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("it is open") };
    let begin = "the initializer `load` ended its worker process 1: SIGSEGV(-11)";
    assert!(cause.to_string().starts_with(begin), "{cause}");
    assert_eq!(cause.worker_exit().unwrap().task(), Some("load"));
}

#[test]
fn one_that_dies_before_it_begins_has_nothing_to_do_with_it() {
    let mut pool = Pool::with(1, Rules { initializer: Some("load"), ..Rules::default() });
    pool.submit();
    pool.actions();
    assert!(pool.scheduler.worker_greeted(pool.now, WorkerId(1)));
    pool.exit(WorkerId(1));
    check(&mut pool, &["start 2 as 0"]);
    // Nor one that was killed for having been late before.
    pool.pass(limits::HANDSHAKE);
    check(&mut pool, &["kill 2"]);
    assert!(!pool.scheduler.worker_greeted(pool.now, WorkerId(2)));
    assert!(!pool.scheduler.worker_ready(pool.now, WorkerId(2)));
}

#[test]
fn another_that_says_nothing_is_alone_in_that() {
    let mut pool = Pool::with(2, Rules { initializer: Some("load"), ..Rules::default() });
    pool.scheduler.prewarm(pool.now);
    pool.actions();
    pool.scheduler.worker_greeted(pool.now, WorkerId(1));
    pool.pass(limits::HANDSHAKE);
    check(&mut pool, &["kill 2"]);
    pool.scheduler.handshake_failed(pool.now, WorkerId(2), Error::new(ErrorKind::Handshake, "no"));
    assert!(!pool.scheduler.is_broken());
}

#[test]
fn one_that_closes_its_channel_is_not_said_to_be_late() {
    let mut pool = initializing();
    pool.scheduler.channel_closed(pool.now, WorkerId(1));
    pool.pass(limits::CLOSED);
    check(&mut pool, &["kill 1"]);
    pool.exit(WorkerId(1));
    check(&mut pool, &["1 broken", "end"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("it is open") };
    assert!(cause.to_string().contains("ended its worker process"), "{cause}");
    let exit = cause.worker_exit().unwrap();
    assert_eq!(exit.remark.as_deref(), Some("it closed its channel"));
}

#[test]
fn what_happens_in_a_worker_that_is_to_leave_does_not_matter() {
    let mut pool = initializing();
    pool.scheduler.cancel(pool.now, CallId::nth(1));
    pool.scheduler.resize(pool.now, 1);
    pool.scheduler.shutdown(pool.now, Shutdown::NoWait);
    check(&mut pool, &["1 cancelled", "retire 1"]);
    pool.scheduler.initializer_failed(pool.now, WorkerId(1), "failed", None);
    assert!(!pool.scheduler.worker_ready(pool.now, WorkerId(1)));
    pool.exit(WorkerId(1));
    check(&mut pool, &["end"]);
    assert!(!pool.scheduler.is_broken());
}

#[test]
fn without_a_limit_it_may_take_for_ever() {
    let mut pool = Pool::with(1, Rules { initializer: Some("load"), ..Rules::default() });
    pool.scheduler.prewarm(pool.now);
    pool.actions();
    pool.scheduler.worker_greeted(pool.now, WorkerId(1));
    assert_eq!(pool.scheduler.next_timer(), None);
    pool.pass(Duration::from_secs(1_000_000));
    check(&mut pool, &[]);
}
