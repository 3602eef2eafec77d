//! The events of an executor as a ledger: an event that does not fit those before it is a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};

use loky::{Builder, ErrorKind, Event, ProcessPoolExecutor, Stats};

use crate::time::LONG;

/// All events of one executor.
#[derive(Debug, Default)]
pub struct Log {
    events: Mutex<Vec<Event>>,
    grown: Condvar,
}

impl Log {
    /// Builds an executor whose events are kept.
    pub fn of(builder: Builder) -> (ProcessPoolExecutor, Arc<Self>) {
        let log = Arc::new(Self::default());
        let kept = Arc::clone(&log);
        let builder = builder.observer(move |event| kept.push(event));
        (builder.build().unwrap(), log)
    }

    /// Adds an event.
    pub fn push(&self, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
        self.grown.notify_all();
    }

    /// Returns all events.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// The events in short. Workers go by their index.
    pub fn words(&self) -> Vec<String> {
        self.events().iter().map(word).collect()
    }

    /// The events, as they are where workers come up at once: from one that is slow to do so its first call is taken back, and given
    /// to it again.
    pub fn events_of_quick_starts(&self) -> Vec<Event> {
        let mut taken_back = BTreeSet::new();
        let mut events = self.events();
        events.retain(|event| match event {
            Event::CallTakenBack { call, .. } => {
                taken_back.insert(*call);
                false
            }
            Event::CallGiven { call, .. } => !taken_back.remove(call),
            _ => true,
        });
        events
    }

    /// Returns these events in short.
    pub fn words_of_quick_starts(&self) -> Vec<String> {
        self.events_of_quick_starts().iter().map(word).collect()
    }

    /// The events of one call in short.
    pub fn words_of(&self, call: u64) -> Vec<String> {
        let number = format!(" {call}");
        let is_of = |event: &&Event| match event {
            Event::CallSubmitted { call: of, .. }
            | Event::CallGiven { call: of, .. }
            | Event::CallTakenBack { call: of, .. }
            | Event::CallFinished { call: of, .. } => *of == call,
            _ => false,
        };
        self.events().iter().filter(is_of).map(|event| word(event).replace(&number, "")).collect()
    }

    /// Waits until `times` of the words start with `beginning`.
    #[track_caller]
    pub fn until(&self, times: usize, beginning: &str) {
        let are_missing = |events: &mut Vec<Event>| {
            events.iter().filter(|event| word(event).starts_with(beginning)).count() < times
        };
        let events = self.events.lock().unwrap();
        let (events, waited) = self.grown.wait_timeout_while(events, LONG, are_missing).unwrap();
        assert!(!waited.timed_out(), "not {times} of `{beginning}`: {events:#?}");
    }

    /// Insists that the events are a possible history, and returns what they come to.
    #[track_caller]
    pub fn check(&self) -> Ledger {
        let mut ledger = Ledger::default();
        self.events().iter().for_each(|event| ledger.enter(event));
        ledger
    }

    /// As [`check`](Self::check), of an executor that is gone.
    #[track_caller]
    pub fn check_end(&self, executor: &ProcessPoolExecutor) -> Ledger {
        let ledger = self.check();
        assert!(ledger.calls.is_empty(), "calls without an end: {:?}", ledger.calls);
        assert!(ledger.workers.is_empty(), "workers without an end: {:?}", ledger.workers);
        ledger.check_counts(&executor.stats());
        ledger
    }
}

fn word(event: &Event) -> String {
    match event {
        Event::CallSubmitted { call, .. } => format!("submitted {call}"),
        Event::CallGiven { call, .. } => format!("given {call}"),
        Event::CallTakenBack { call, .. } => format!("taken back {call}"),
        Event::CallFinished { call, error: None, .. } => format!("finished {call}"),
        Event::CallFinished { call, error: Some(kind), .. } => format!("finished {call}: {kind:?}"),
        Event::WorkerStarted { index, .. } => format!("started {index}"),
        Event::WorkerNotStarted { index, cause, .. } => {
            format!("not started {index}: {:?}", cause.kind())
        }
        Event::WorkerReady { index, .. } => format!("ready {index}"),
        Event::WorkerRetired { index, why, .. } => format!("retired {index}: {why:?}"),
        Event::WorkerExited { index, exit, was_told: true, .. } => format!("left {index}: {exit}"),
        Event::WorkerExited { index, exit, .. } => format!("died {index}: {exit}"),
        Event::Resized { from, to, .. } => format!("resized {from} to {to}"),
        Event::Replaced { by, .. } => format!("replaced by {by}"),
        Event::Broken { cause, .. } => format!("broken: {:?}", cause.kind()),
        Event::ShutDown { .. } => "shut down".to_owned(),
        other => panic!("a new event: {other:?}"),
    }
}

#[derive(Debug)]
struct Worker {
    index: usize,
    is_ready: bool,
    is_retired: bool,
}

/// The state that events lead to.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Calls that are not over, with the worker that has them.
    calls: BTreeMap<u64, Option<u32>>,
    known: BTreeSet<u64>,
    workers: BTreeMap<u32, Worker>,
    succeeded: u64,
    failed: u64,
    cancelled: u64,
    started: u64,
    retired: u64,
    died: u64,
    is_shut_down: bool,
    is_broken: bool,
}

impl Ledger {
    #[track_caller]
    fn enter(&mut self, event: &Event) {
        match event {
            Event::CallSubmitted { .. }
            | Event::CallGiven { .. }
            | Event::CallTakenBack { .. }
            | Event::CallFinished { .. } => self.enter_call(event),
            Event::WorkerNotStarted { .. } | Event::Replaced { .. } => {}
            Event::Resized { from, to, .. } => assert_ne!(from, to),
            Event::Broken { .. } => assert!(!std::mem::replace(&mut self.is_broken, true)),
            Event::ShutDown { .. } => assert!(!std::mem::replace(&mut self.is_shut_down, true)),
            _ => self.enter_worker(event),
        }
    }

    #[track_caller]
    fn enter_call(&mut self, event: &Event) {
        match *event {
            Event::CallSubmitted { call, .. } => {
                assert!(!self.is_shut_down && !self.is_broken, "{event:?}");
                assert!(self.known.insert(call), "{event:?}: twice");
                self.calls.insert(call, None);
            }
            Event::CallGiven { call, worker_pid, .. } => {
                let worker = &self.workers[&worker_pid];
                let has_none = || self.calls.values().all(|place| *place != Some(worker_pid));
                let may_have_it = worker.is_ready || has_none();
                assert!(may_have_it && !worker.is_retired, "{event:?}: {worker:?}");
                assert_eq!(self.calls.insert(call, Some(worker_pid)), Some(None), "{event:?}");
            }
            Event::CallTakenBack { call, worker_pid, .. } => {
                assert_eq!(self.calls.insert(call, None), Some(Some(worker_pid)), "{event:?}");
            }
            Event::CallFinished { call, worker_pid, run_time, error, .. } => {
                let place = self.calls.remove(&call).unwrap_or_else(|| panic!("{event:?}: twice"));
                assert!(worker_pid.is_none() || worker_pid == place, "{event:?}: in {place:?}");
                assert!(run_time.is_none() || worker_pid.is_some(), "{event:?}");
                match error {
                    None => {
                        let is_ready = place.is_some_and(|pid| self.workers[&pid].is_ready);
                        assert!(run_time.is_some() && is_ready, "{event:?}");
                    }
                    Some(ErrorKind::Cancelled) => assert_eq!(place, None, "{event:?}"),
                    Some(_) => {}
                }
                *match error {
                    None => &mut self.succeeded,
                    Some(ErrorKind::Cancelled) => &mut self.cancelled,
                    Some(_) => &mut self.failed,
                } += 1;
            }
            _ => unreachable!("events of calls"),
        }
    }

    #[track_caller]
    fn enter_worker(&mut self, event: &Event) {
        match event {
            Event::WorkerStarted { worker_pid, index, .. } => {
                let is_free = self.workers.values().all(|worker| worker.index != *index);
                assert!(is_free, "{event:?}: two of one index");
                let worker = Worker { index: *index, is_ready: false, is_retired: false };
                assert!(self.workers.insert(*worker_pid, worker).is_none(), "{event:?}: twice");
                self.started += 1;
            }
            Event::WorkerReady { worker_pid, index, .. } => {
                let worker = self.workers.get_mut(worker_pid).expect("it was started");
                assert!(worker.index == *index && !worker.is_ready && !worker.is_retired);
                worker.is_ready = true;
            }
            Event::WorkerRetired { worker_pid, index, .. } => {
                let worker = self.workers.get_mut(worker_pid).expect("it was started");
                assert!(worker.index == *index && !worker.is_retired, "{event:?}: {worker:?}");
                worker.is_retired = true;
                self.retired += 1;
                let is_free = self.calls.values().all(|place| *place != Some(*worker_pid));
                assert!(is_free, "{event:?}: it has calls");
            }
            Event::WorkerExited { worker_pid, index, exit, was_told, .. } => {
                let worker = self.workers.remove(worker_pid).expect("it was started");
                assert_eq!((exit.pid(), worker.index), (*worker_pid, *index), "{event:?}");
                assert!(*was_told || !worker.is_retired, "{event:?}: {worker:?}");
                self.died += u64::from(!was_told);
            }
            other => panic!("a new event: {other:?}"),
        }
    }

    #[track_caller]
    fn check_counts(&self, stats: &Stats) {
        assert_eq!(
            (stats.submitted, stats.succeeded, stats.failed, stats.cancelled),
            (self.known.len() as u64, self.succeeded, self.failed, self.cancelled),
            "{stats:?}"
        );
        let Stats { workers_started, workers_retired, workers_died, .. } = *stats;
        let workers = (workers_started, workers_retired, workers_died);
        assert_eq!(workers, (self.started, self.retired, self.died), "{stats:?}");
        agree(stats);
    }
}

/// Insists that each call is counted once.
#[track_caller]
pub fn agree(stats: &Stats) {
    let unfinished = (stats.queued + stats.given) as u64;
    let finished = stats.succeeded + stats.failed + stats.cancelled;
    assert_eq!(stats.submitted, unfinished + finished, "{stats:?}");
}
