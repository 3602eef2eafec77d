use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::calls;
use crate::codec::entries;
use crate::id::{CallId, Fingerprint, Ticket};
use crate::registry::Table;
use crate::segments::Segments;
use crate::sys::wake::Wake;
use crate::transport::memory::Memory;
use crate::transport::page::Page;
use crate::transport::slots::Items;
use crate::transport::slots::table::{SlotTable, Step};
use crate::wire::frame::CutOff;
use crate::wire::message::{self, CallFailure, FromWorker, Setup, VERSION};

fn slots() -> (SlotTable, Page) {
    let (ours, fd) = Page::create().unwrap();
    (SlotTable::new(Arc::new(ours)), Page::open(fd.as_fd()).unwrap())
}

/// Without segments: the setup message allows none.
fn serve(end: &mut Memory) -> io::Result<()> {
    calls::serve(end, &Segments::of_worker(Arc::new(Wake::new()?)))
}

fn messages(mut end: Memory) -> Vec<FromWorker> {
    serve(&mut end).unwrap();
    end.said().into_iter().map(|frame| FromWorker::parse(frame).unwrap()).collect()
}

/// Runs the call loop on the setup message and these calls, of which one may be revoked. Returns its messages after the hello.
fn answers(calls: &[(&str, &[u8])], revoked: Option<usize>) -> (Vec<Ticket>, Vec<FromWorker>) {
    let (mut table, page) = slots();
    let mut give = |call| {
        let ticket = table.take(CallId::nth(call)).unwrap();
        table.publish(ticket);
        ticket
    };
    let tickets: Vec<_> = (0..).take(calls.len()).map(&mut give).collect();
    if let Some(revoked) = revoked {
        assert_eq!(table.revoke(tickets[revoked]), Ok(true));
    }
    let frames = calls.iter().zip(&tickets);
    let frames = frames.map(|((task, args), ticket)| message::call(*ticket, task, args));
    let input: Vec<_> =
        [setup(VERSION, Table::get().fingerprint())].into_iter().chain(frames).collect();
    let mut messages = messages(Memory::told(&input, page));
    assert!(matches!(messages.remove(0), FromWorker::Hello(_)));
    for (number, ticket) in tickets.iter().enumerate() {
        if revoked == Some(number) {
            assert_eq!(table.step(), Ok(Some(Step::Skipped)));
        } else {
            assert_eq!(table.answered(*ticket).unwrap().0, CallId::nth(number as u64));
        }
    }
    (tickets, messages)
}

fn setup(version: u32, fingerprint: Fingerprint) -> Vec<u8> {
    Setup { version, fingerprint, memory_growth_limit: u64::MAX, ..Setup::default() }.to_bytes()
}

#[test]
fn call_gets_its_result() {
    let (tickets, messages) = answers(&[("loky.ping", &[])], None);
    assert!(matches!(&*messages, [FromWorker::Result(ticket, _)] if *ticket == tickets[0]));
}

#[test]
fn unknown_task_and_bad_arguments_fail_that_call_only() {
    let calls = [("no.such", &[][..]), ("loky.ping", &[0xff][..]), ("loky.ping", &[][..])];
    let (tickets, messages) = answers(&calls, None);
    assert_eq!(messages[0], FromWorker::Failed(tickets[0], CallFailure::UnknownTask));
    assert!(matches!(messages[1], FromWorker::Failed(_, CallFailure::DecodeArgs(_))));
    assert!(matches!(messages[2], FromWorker::Result(ticket, _) if ticket == tickets[2]));
}

#[test]
fn missing_descriptors_fail_that_call_only() {
    let (mut table, page) = slots();
    let tickets = [0, 1].map(|i| {
        let ticket = table.take(CallId::nth(i)).unwrap();
        table.publish(ticket);
        ticket
    });
    let ping = |ticket| message::call(ticket, "loky.ping", &[]);
    let input = [setup(VERSION, Table::get().fingerprint()), ping(tickets[0]), ping(tickets[1])];
    let mut end = Memory::told(&input, page);
    end.attach(1, Err(CutOff));
    let messages = messages(end);
    assert_eq!(messages[1], FromWorker::Failed(tickets[0], CallFailure::ArgsCutOff));
    assert!(matches!(messages[2], FromWorker::Result(ticket, _) if ticket == tickets[1]));
}

#[test]
fn revoked_call_is_skipped() {
    let ping = ("loky.ping", &[][..]);
    let (tickets, messages) = answers(&[ping, ping, ping], Some(1));
    assert!(matches!(messages[0], FromWorker::Result(..)));
    assert!(matches!(messages[1], FromWorker::Result(ticket, _) if ticket == tickets[2]));
}

#[test]
fn batch_is_answered_in_one_frame_with_an_entry_per_call() {
    let items = |all: &[&[u8]]| {
        let mut out = Vec::new();
        for args in all {
            let start = entries::begin(&mut out);
            out.extend_from_slice(args);
            entries::finish(&mut out, start, false);
        }
        out
    };
    for (task, are_failures) in
        [("loky.ping", [false, true, false]), ("no.such", [true, true, true])]
    {
        let (mut table, page) = slots();
        let ticket = table.take(CallId::nth(0)).unwrap();
        table.set_items(ticket, 3);
        table.publish(ticket);
        let mut batch = Vec::new();
        message::put_chunk(&mut batch, ticket, task, &items(&[&[], &[0xff], &[]]));
        let input = [setup(VERSION, Table::get().fingerprint()), batch];
        let mut end = Memory::told(&input, page);
        serve(&mut end).unwrap();
        let answer = end.said().pop().unwrap();
        assert_eq!((answer.kind, answer.call), (message::RESULTS, ticket.0));
        let mut rest = &answer.body[..];
        for is_failure in are_failures {
            let (entry, after) = entries::next(rest).unwrap();
            assert_eq!(entry.is_failure, is_failure);
            assert_eq!(CallFailure::parse(entry.bytes).is_ok(), is_failure);
            rest = after;
        }
        assert!(rest.is_empty());
        assert_eq!(table.items(ticket), Ok(Items { begun: 3, limit: 3 }));
    }
}

#[test]
fn hello_has_table_only_where_tasks_differ() {
    let ours = Table::get().fingerprint();
    let other = Fingerprint { count: ours.count, hash: ours.hash ^ 1 };
    for (version, fingerprint, has_table) in
        [(VERSION, ours, false), (VERSION, other, true), (VERSION + 1, other, false)]
    {
        let messages = messages(Memory::told(&[setup(version, fingerprint)], slots().1));
        let [FromWorker::Hello(hello)] = &*messages else { panic!("{messages:?}") };
        assert_eq!((hello.version, hello.fingerprint), (VERSION, ours));
        assert_eq!(hello.table.is_some(), has_table, "{version} {fingerprint:?}");
    }
}

#[test]
fn bad_message_from_pool_ends_loop() {
    let setup = setup(VERSION, Table::get().fingerprint());
    let ping = |ticket| message::call(ticket, "loky.ping", &[]);
    let batch = |ticket| {
        let mut batch = Vec::new();
        message::put_chunk(&mut batch, ticket, "loky.ping", &[0; 4]);
        batch
    };
    for input in [
        vec![FromWorker::Begun(Ticket(1)).to_bytes()],
        vec![ping(Ticket(64))],                // Before the setup.
        vec![setup.clone(), ping(Ticket(64))], // Never dispatched.
        vec![setup.clone(), batch(Ticket(64))],
        vec![setup.clone(), setup, ping(Ticket(0))], // Its page is taken.
    ] {
        let mut end = Memory::told(&input, slots().1);
        let is_reported = serve(&mut end).is_ok()
            && end
                .said()
                .into_iter()
                .any(|frame| matches!(FromWorker::parse(frame), Ok(FromWorker::Refuse(_))));
        let mut end = Memory::told(&input, slots().1);
        assert!(is_reported || serve(&mut end).is_err());
    }
}
