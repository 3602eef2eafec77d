loky::main! {
    struct Program;
}
