//! Programs that the macros must accept and programs that they must refuse, in `cases`; this library is empty.
