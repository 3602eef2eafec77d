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
use crate::transport::slots::items::Items;
use crate::transport::slots::table::{SlotTable, Step};
use crate::wire::frame::CutOff;
use crate::wire::message::{self, CallFailure, FromWorker, Setup, VERSION};

fn slots() -> (SlotTable, Page) {
    let (ours, fd) = Page::create().unwrap();
    (SlotTable::new(Arc::new(ours)), Page::open(fd.as_fd()).unwrap())
}

/// Without segments, as nobody allows it any.
fn serve(end: &mut Memory) -> io::Result<()> {
    calls::serve(end, &Segments::of_worker(Arc::new(Wake::new()?)))
}

fn said(mut end: Memory) -> Vec<FromWorker> {
    serve(&mut end).unwrap();
    end.said().into_iter().map(|frame| FromWorker::parse(frame).unwrap()).collect()
}

/// What the call loop says when it is told to set up and to make these calls, of which one may have been taken back. Without
/// its hello.
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
    let told: Vec<_> =
        [setup(VERSION, Table::get().fingerprint())].into_iter().chain(frames).collect();
    let mut said = said(Memory::told(&told, page));
    assert!(matches!(said.remove(0), FromWorker::Hello(_)));
    for (number, ticket) in tickets.iter().enumerate() {
        if revoked == Some(number) {
            assert_eq!(table.step(), Ok(Some(Step::Skipped)));
        } else {
            assert_eq!(table.answered(*ticket).unwrap().0, CallId::nth(number as u64));
        }
    }
    (tickets, said)
}

fn setup(version: u32, fingerprint: Fingerprint) -> Vec<u8> {
    Setup { version, fingerprint, memory_growth_limit: u64::MAX, ..Setup::default() }.to_bytes()
}

#[test]
fn a_call_has_a_result() {
    let (tickets, said) = answers(&[("loky.ping", &[])], None);
    assert!(matches!(&*said, [FromWorker::Result(ticket, _)] if *ticket == tickets[0]));
}

#[test]
fn an_unknown_task_and_bad_arguments_are_failures_of_that_call() {
    let calls = [("no.such", &[][..]), ("loky.ping", &[0xff][..]), ("loky.ping", &[][..])];
    let (tickets, said) = answers(&calls, None);
    assert_eq!(said[0], FromWorker::Failed(tickets[0], CallFailure::UnknownTask));
    assert!(matches!(said[1], FromWorker::Failed(_, CallFailure::DecodeArgs(_))));
    assert!(matches!(said[2], FromWorker::Result(ticket, _) if ticket == tickets[2]));
}

/// The call fails, and the next one does not.
#[test]
fn descriptors_that_did_not_fit_are_a_failure_of_that_call() {
    let (mut table, page) = slots();
    let tickets = [0, 1].map(|i| {
        let ticket = table.take(CallId::nth(i)).unwrap();
        table.publish(ticket);
        ticket
    });
    let ping = |ticket| message::call(ticket, "loky.ping", &[]);
    let told = [setup(VERSION, Table::get().fingerprint()), ping(tickets[0]), ping(tickets[1])];
    let mut end = Memory::told(&told, page);
    end.attach(1, Err(CutOff));
    let said = said(end);
    assert_eq!(said[1], FromWorker::Failed(tickets[0], CallFailure::ArgsCutOff));
    assert!(matches!(said[2], FromWorker::Result(ticket, _) if ticket == tickets[1]));
}

#[test]
fn a_call_that_was_taken_back_is_skipped() {
    let ping = ("loky.ping", &[][..]);
    let (tickets, said) = answers(&[ping, ping, ping], Some(1));
    assert!(matches!(said[0], FromWorker::Result(..)));
    assert!(matches!(said[1], FromWorker::Result(ticket, _) if ticket == tickets[2]));
}

/// The answers of a chunk, an entry each: one fails, and the others do not.
#[test]
fn the_calls_of_a_chunk_are_answered_together() {
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
        let mut chunk = Vec::new();
        message::put_chunk(&mut chunk, ticket, task, &items(&[&[], &[0xff], &[]]));
        let told = [setup(VERSION, Table::get().fingerprint()), chunk];
        let mut end = Memory::told(&told, page);
        serve(&mut end).unwrap();
        let answer = end.said().pop().unwrap();
        assert_eq!((answer.kind, answer.call), (message::RESULTS, ticket.0));
        let mut rest = &answer.body[..];
        for is_failure in are_failures {
            let (entry, behind) = entries::next(rest).unwrap();
            assert_eq!(entry.is_failure, is_failure);
            assert_eq!(CallFailure::parse(entry.bytes).is_ok(), is_failure);
            rest = behind;
        }
        assert!(rest.is_empty());
        assert_eq!(table.items(ticket), Ok(Items { begun: 3, limit: 3 }));
    }
}

#[test]
fn hello_brings_the_table_only_where_it_differs() {
    let ours = Table::get().fingerprint();
    let other = Fingerprint { count: ours.count, hash: ours.hash ^ 1 };
    for (version, fingerprint, has_table) in
        [(VERSION, ours, false), (VERSION, other, true), (VERSION + 1, other, false)]
    {
        let said = said(Memory::told(&[setup(version, fingerprint)], slots().1));
        let [FromWorker::Hello(hello)] = &*said else { panic!("{said:?}") };
        assert_eq!((hello.version, hello.fingerprint), (VERSION, ours));
        assert_eq!(hello.table.is_some(), has_table, "{version} {fingerprint:?}");
    }
}

#[test]
fn rubbish_from_the_pool_ends_the_loop() {
    let setup = setup(VERSION, Table::get().fingerprint());
    let ping = |ticket| message::call(ticket, "loky.ping", &[]);
    let chunk = |ticket| {
        let mut chunk = Vec::new();
        message::put_chunk(&mut chunk, ticket, "loky.ping", &[0; 4]);
        chunk
    };
    for told in [
        vec![FromWorker::Begun(Ticket(1)).to_bytes()],
        vec![ping(Ticket(64))],                // Before the setup.
        vec![setup.clone(), ping(Ticket(64))], // Never given.
        vec![setup.clone(), chunk(Ticket(64))],
        vec![setup.clone(), setup, ping(Ticket(0))], // Without a page of its own.
    ] {
        let mut end = Memory::told(&told, slots().1);
        let is_refused = serve(&mut end).is_ok()
            && end
                .said()
                .into_iter()
                .any(|frame| matches!(FromWorker::parse(frame), Ok(FromWorker::Refuse(_))));
        let mut end = Memory::told(&told, slots().1);
        assert!(is_refused || serve(&mut end).is_err());
    }
}
