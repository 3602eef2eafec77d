//! The initializer: its failure, death and time limit, and the workers that these do not concern.

use super::*;

const LIMIT: Duration = Duration::from_secs(3);

/// Worker 1 runs the initializer, and a call waits.
fn initializing() -> Pool {
    let rules = Rules { initializer: Some("load"), init_timeout: Some(LIMIT), ..Rules::default() };
    let mut pool = Pool::with(1, rules);
    pool.submit();
    assert_eq!(pool.started(), [WorkerId(1)]);
    pool.pass(2 * LIMIT); // The limit does not include the start of the process.
    assert!(pool.scheduler.worker_greeted(pool.now, WorkerId(1)));
    pool.scheduler.initializer_began(WorkerId(1));
    pool
}

#[track_caller]
fn check_broken(pool: &mut Pool, message: &str) {
    check(pool, &["1 broken", "kill 1"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("not broken") };
    assert_eq!((cause.kind(), cause.to_string().as_str()), (ErrorKind::BrokenProcessPool, message));
}

#[test]
fn initializing_worker_gets_no_call() {
    let mut pool = initializing();
    pool.scheduler.advance(pool.now);
    assert_eq!((pool.scheduler.ready_workers(), pool.scheduler.starting_workers()), (0, 1));
    check(&mut pool, &[]);
    assert!(pool.scheduler.worker_ready(pool.now, WorkerId(1)));
    check(&mut pool, &["1 to 1"]);
    assert_eq!(pool.scheduler.next_timer(), None);
}

#[test]
fn initializer_failure_breaks_pool() {
    let mut pool = initializing();
    pool.scheduler.initializer_failed(pool.now, WorkerId(1), "failed: no table", None);
    check_broken(&mut pool, "the initializer `load` failed: no table");
}

#[test]
fn initializer_timeout_breaks_pool() {
    let mut pool = initializing();
    assert_eq!(pool.scheduler.next_timer(), Some(pool.now + LIMIT));
    pool.pass(LIMIT - Duration::from_millis(1));
    check(&mut pool, &[]);
    pool.pass(Duration::from_millis(1));
    check_broken(&mut pool, "the initializer `load` did not finish within 3s (`init_timeout`)");
}

#[test]
fn death_in_initializer_breaks_pool() {
    let mut pool = initializing();
    pool.exit(WorkerId(1));
    check(&mut pool, &["1 broken", "end"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("not broken") };
    let begin = "the initializer `load` ended its worker process 1: SIGSEGV(-11)";
    assert!(cause.to_string().starts_with(begin), "{cause}");
    assert_eq!(cause.worker_exit().unwrap().task(), Some("load"));
}

#[test]
fn death_before_initializer_replaces_worker() {
    let mut pool = Pool::with(1, Rules { initializer: Some("load"), ..Rules::default() });
    pool.submit();
    pool.actions();
    assert!(pool.scheduler.worker_greeted(pool.now, WorkerId(1)));
    pool.exit(WorkerId(1));
    check(&mut pool, &["start 2 as 0"]);
    // A worker that was killed at its handshake deadline is not greeted any more.
    pool.pass(limits::HANDSHAKE);
    check(&mut pool, &["kill 2"]);
    assert!(!pool.scheduler.worker_greeted(pool.now, WorkerId(2)));
    assert!(!pool.scheduler.worker_ready(pool.now, WorkerId(2)));
}

#[test]
fn silent_worker_beside_greeted_one_does_not_break_pool() {
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
fn closed_channel_in_initializer_is_not_reported_as_timeout() {
    let mut pool = initializing();
    pool.scheduler.channel_closed(pool.now, WorkerId(1));
    pool.pass(limits::CLOSED);
    check(&mut pool, &["kill 1"]);
    pool.exit(WorkerId(1));
    check(&mut pool, &["1 broken", "end"]);
    let Some(Refusal::Broken(cause)) = pool.scheduler.refusal() else { panic!("not broken") };
    assert!(cause.to_string().contains("ended its worker process"), "{cause}");
    let exit = cause.worker_exit().unwrap();
    assert_eq!(exit.remark.as_deref(), Some("it closed its channel"));
}

#[test]
fn initializer_failure_in_leaving_worker_is_ignored() {
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
fn initializer_without_limit_has_no_deadline() {
    let mut pool = Pool::with(1, Rules { initializer: Some("load"), ..Rules::default() });
    pool.scheduler.prewarm(pool.now);
    pool.actions();
    pool.scheduler.worker_greeted(pool.now, WorkerId(1));
    assert_eq!(pool.scheduler.next_timer(), None);
    pool.pass(Duration::from_secs(1_000_000));
    check(&mut pool, &[]);
}
