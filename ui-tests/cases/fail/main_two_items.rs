loky::main! {
    fn main() {
        helper();
    }

    pub(crate) fn helper() {}
}

const _: fn() = helper;
