loky::main! {}
