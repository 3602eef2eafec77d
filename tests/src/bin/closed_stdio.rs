//! Closes the standard streams that its second argument names, and writes to the file that the first names what its workers
//! have as theirs then, for each way to set them.
#![expect(unsafe_code, reason = "what is closed here is not open for anybody else")]

use std::fmt::Write;

use loky::Stdio;
use loky_tests::tasks;

loky::main! {
    fn main() {
        let mut args = std::env::args().skip(1);
        let path = args.next().unwrap();
        for fd in args.next().unwrap().bytes() {
            // SAFETY: nothing in this program owns a standard stream.
            unsafe { libc::close(i32::from(fd - b'0')) };
        }
        let file = || Stdio::File(format!("{path}.out").into());
        let ways = [Stdio::Inherit, Stdio::Null, file(), Stdio::Capture];
        let mut report = String::new();
        for (stdout, stderr) in ways.iter().flat_map(|out| ways.iter().map(move |err| (out, err))) {
            let builder = loky::ProcessPoolExecutor::builder().max_workers(1);
            let executor = builder.stdout(stdout.clone()).stderr(stderr.clone()).build().unwrap();
            executor.submit(tasks::print, ("out".into(), "err".into())).result().unwrap();
            let descriptors = executor.submit(tasks::descriptors, ()).result().unwrap();
            write!(report, "{stdout:?}|{stderr:?}").unwrap();
            for (fd, target) in descriptors {
                write!(report, "|{fd} {target}").unwrap();
            }
            report.push('\n');
        }
        std::fs::write(path, report).unwrap();
    }
}
