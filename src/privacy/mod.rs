//! Privacy: what is known of a person, erased, exported, masked or encrypted.
//!
//! | room | what it holds |
//! | --- | --- |
//! | `crypt/` | encryption of values under a key for each person |

mod crypt;
