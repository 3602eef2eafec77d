//! The page that a worker shares with the pool, overwritten by the worker: that harms nobody but the calls of that worker.
//! These return what they should or die with it; all others run once, the pool lives on, and nobody says of a call that ran
//! that it did not.

use std::fs;
use std::iter::once;
use std::thread;

use loky::{Execution, Future, ProcessPoolExecutor};
use loky_tests::{Event, Random, Record, isolated};
use serde::{Deserialize, Serialize};

use crate::crash_matrix::{Deed, busy};
use crate::step::{Step, burst, passes, starts_of, step, warm};
use crate::submit::LONG;

/// How many calls a worker has in its queue at most: so many may die with it.
const QUEUE: usize = 64;

/// What is written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Fill {
    Random(u64),
    /// What is there already, each word in another's place.
    Shuffled(u64),
    Zeros,
    Ones,
}

/// What the call does after that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Then {
    Return,
    Block(Event),
    Die,
    /// Returns, and leaves a thread that does it again and again.
    GoOn,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scribble {
    fill: Fill,
    then: Then,
}

impl Scribble {
    pub(crate) fn perform(self) {
        Words(words()).overwrite(self.fill);
        match self.then {
            Then::Return => {}
            Then::Block(event) => event.wait(),
            Then::Die => Deed::Raise(libc::SIGKILL).perform().expect("a death"),
            Then::GoOn => {
                let words = Words(words());
                thread::spawn(move || {
                    for seed in 0.. {
                        words.overwrite(Fill::Random(seed));
                        thread::yield_now();
                    }
                });
            }
        }
    }
}

/// The words of this worker's page.
fn words() -> Vec<*mut u64> {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc");
    let page = maps.lines().find(|line| line.contains("/memfd:loky-lane"));
    let page = page.unwrap_or_else(|| panic!("this worker has no mapping `loky-lane`:\n{maps}"));
    let mut words = page.split(' ');
    let range = words.next().and_then(|range| range.split_once('-')).expect("a range");
    assert!(words.next().is_some_and(|rights| rights.starts_with("rw")), "{page}");
    let [start, end] = [range.0, range.1].map(|it| usize::from_str_radix(it, 16).expect("hex"));
    (start..end).step_by(8).map(std::ptr::with_exposed_provenance_mut).collect()
}

/// The page's words, for any thread, for as long as it is mapped: until the worker leaves.
struct Words(Vec<*mut u64>);

#[expect(unsafe_code, reason = "plain addresses")]
// SAFETY: they are only written through, and what lies there is made to be written by anybody.
unsafe impl Send for Words {}

impl Words {
    fn overwrite(&self, fill: Fill) {
        let words = &self.0;
        let mut random = match fill {
            Fill::Random(seed) | Fill::Shuffled(seed) => Random::new(seed),
            Fill::Zeros | Fill::Ones => Random::new(0),
        };
        let mut content: Vec<u64> = words
            .iter()
            .map(|word| match fill {
                Fill::Random(_) => random.number(),
                Fill::Zeros => 0,
                Fill::Ones => u64::MAX,
                #[expect(unsafe_code, reason = "the page belongs to the library")]
                // SAFETY: mapped as long as the worker serves; any bits are a number.
                Fill::Shuffled(_) => unsafe { word.read_volatile() },
            })
            .collect();
        if matches!(fill, Fill::Shuffled(_)) {
            (1..content.len()).for_each(|place| content.swap(place, random.below(place + 1)));
        }
        for (word, content) in words.iter().zip(content) {
            #[expect(unsafe_code, reason = "it is what is tested")]
            // SAFETY: mapped for writing; the library takes any bits that it finds there for what another process wrote.
            unsafe {
                word.write_volatile(content);
            };
        }
    }
}

/// Insists that each call of a burst resolved and says the truth. How many of them died.
#[track_caller]
fn check_true(what: &str, calls: &[Future<u64>], record: &Record) -> usize {
    let starts = starts_of(calls, record);
    let mut n_dead = 0;
    for (number, call) in calls.iter().enumerate() {
        match call.result() {
            Ok(result) => {
                assert_eq!((result, starts[number]), (number as u64, 1), "{what}: call {number}");
            }
            Err(error) => {
                n_dead += 1;
                assert!(error.is_terminated_worker(), "{what}: call {number}: {error:?}");
                let is_started = error.execution() == Execution::Started;
                assert!(starts[number] <= usize::from(is_started), "{what}: {number}: {error:?}");
            }
        }
    }
    n_dead
}

/// A pool of three: one worker has a neighbour's call, one the scribbler's, and one is there for all others.
#[track_caller]
fn check(what: &str, scribble: Scribble) {
    const BEFORE: usize = 50;
    let executor = warm(3);
    let (neighbour, go_on) = busy(&executor);
    let record = Record::new();
    let then = scribble.then.clone();
    let steps = passes(BEFORE).chain(once(Step::Scribble(scribble))).chain(passes(150));
    let calls = burst(&executor, &record, steps);
    if let Then::Block(gate) = &then {
        for (number, call) in calls.iter().enumerate().filter(|(number, _)| *number != BEFORE) {
            let is_open = call.result_timeout(LONG).is_err_and(|error| error.is_timeout());
            assert!(!is_open, "{what}: call {number} has no outcome while another one blocks");
        }
        gate.set();
    }
    let mut n_dead = check_true(what, &calls, &record);
    if matches!(then, Then::Die) {
        assert!(calls[BEFORE].result().is_err(), "{what}");
    }
    // It may be noticed only when that worker has its next calls.
    for _ in 0..5 {
        n_dead += check_later(what, &executor);
    }
    // One worker has died at most, and took no more along than it can have had.
    assert!(n_dead <= QUEUE, "{what}: {n_dead} calls died");
    assert!(!neighbour.is_done(), "{what}");
    go_on.set();
    assert_eq!(neighbour.result().ok(), neighbour.worker_pid(), "{what}");
    assert!(!executor.is_broken());
    executor.prewarm().unwrap();
}

#[track_caller]
fn check_later(what: &str, executor: &ProcessPoolExecutor) -> usize {
    let record = Record::new();
    let calls = burst(executor, &record, passes(200));
    check_true(what, &calls, &record)
}

#[track_caller]
fn check_all_fills(then: impl Fn() -> Then) {
    let random = (0..5).map(Fill::Random);
    let shuffled = (0..5).map(Fill::Shuffled);
    for fill in random.chain(shuffled).chain([Fill::Zeros, Fill::Ones]) {
        check(&format!("{fill:?}"), Scribble { fill, then: then() });
    }
}

#[test]
fn a_worker_that_scribbles_and_returns_harms_its_own_calls_only() {
    isolated(|| check_all_fills(|| Then::Return));
}

#[test]
fn a_worker_that_scribbles_and_blocks_harms_its_own_calls_only() {
    isolated(|| check_all_fills(|| Then::Block(Event::new())));
}

#[test]
fn a_worker_that_scribbles_and_dies_harms_its_own_calls_only() {
    isolated(|| check_all_fills(|| Then::Die));
}

#[test]
fn a_worker_that_scribbles_all_the_time_harms_its_own_calls_only() {
    isolated(|| {
        for fill in (0..5).map(Fill::Random) {
            check(&format!("{fill:?}"), Scribble { fill, then: Then::GoOn });
        }
    });
}

/// Those that travel with it are its worker's calls as any, however many they are.
#[test]
fn a_worker_that_scribbles_in_a_chunk_harms_its_own_calls_only() {
    isolated(|| {
        let fills = (0..5).flat_map(|seed| [Fill::Random(seed), Fill::Shuffled(seed)]);
        for (number, fill) in fills.chain([Fill::Zeros, Fill::Ones]).enumerate() {
            let executor = warm(3);
            let (neighbour, go_on) = busy(&executor);
            let items = |n_items| (0..n_items).map(|number| (number, None, Step::Pass));
            assert!(executor.map(step, items(2000)).all(|outcome| outcome.is_ok()));
            let record = Record::new();
            let then = if number % 2 == 0 { Then::Return } else { Then::Die };
            let scribble = once(Step::Scribble(Scribble { fill, then }));
            let steps = (0..).zip(passes(500).chain(scribble).chain(passes(1500)));
            let steps = steps.map(|(number, it)| (number, Some(record.clone()), it));
            let outcomes: Vec<_> = executor.map(step, steps).collect();
            let starts = record.counts(outcomes.len());
            assert_eq!(outcomes.len(), 2001, "{fill:?}");
            for (number, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Ok(answer) => assert_eq!((*answer, starts[number]), (number as u64, 1)),
                    Err(error) => {
                        assert!(error.is_terminated_worker(), "{fill:?}: {number}: {error:?}");
                        let is_started = error.execution() == Execution::Started;
                        assert!(starts[number] <= usize::from(is_started), "{fill:?}: {number}");
                    }
                }
            }
            assert!(!neighbour.is_done(), "{fill:?}");
            go_on.set();
            assert_eq!(neighbour.result().ok(), neighbour.worker_pid(), "{fill:?}");
            assert!(executor.map(step, items(2000)).filter(Result::is_err).count() < 2000);
            executor.prewarm().unwrap();
            assert!(executor.map(step, items(2000)).all(|outcome| outcome.is_ok()), "{fill:?}");
        }
    });
}

/// It scribbles while it has nothing to do, and the next calls come into that.
#[test]
fn an_idle_worker_that_scribbles_harms_its_own_calls_only() {
    isolated(|| {
        let executor = warm(1);
        for fill in [Fill::Zeros, Fill::Ones, Fill::Random(1), Fill::Shuffled(1)] {
            let record = Record::new();
            let scribble = Scribble { fill, then: Then::Return };
            let calls = burst(&executor, &record, once(Step::Scribble(scribble)));
            let mut n_dead = check_true("alone", &calls, &record);
            for _ in 0..5 {
                n_dead += check_later("later", &executor);
            }
            assert!(n_dead <= QUEUE, "{fill:?}: {n_dead} calls died");
        }
        assert!(!executor.is_broken());
    });
}
