//! The four-byte hash by which the log finds a row's entries.
#![forbid(unsafe_code)]

/// Hash of a row key (its JSON text, values only) in an audited table.
///
/// A filter, not an identity: who finds an entry by it compares the key too. Integer keys that follow
/// each other get hashes that follow each other, so that a bulk change in key order inserts into the
/// same index pages; every other key is hashed. The value is stored: it must never change.
pub fn key_hash(table_id: i32, key: &[u8]) -> i32 {
    let seed = table_id as u32;
    let integer = std::str::from_utf8(key).ok().and_then(|text| text.parse::<i64>().ok());
    match integer {
        Some(value) => {
            seed.wrapping_mul(0x9E37_79B1).wrapping_add(value as u32).wrapping_add((value >> 32) as u32)
                as i32
        }
        None => xxhash_rust::xxh32::xxh32(key, seed) as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::key_hash;

    #[test]
    fn consecutive_integers_stay_together_and_tables_apart() {
        assert_eq!(key_hash(7, b"101"), key_hash(7, b"100") + 1);
        assert_ne!(key_hash(7, b"100"), key_hash(8, b"100"));
        assert_ne!(key_hash(7, b"\"100\""), key_hash(7, b"100"));
    }

    #[test]
    fn stored_hashes_never_change() {
        assert_eq!(key_hash(1, b"1"), -1_640_531_534);
        assert_eq!(key_hash(1, b"\"a\""), -588_576_410);
        assert_eq!(key_hash(3, b"[1,\"x\"]"), -1_671_176_142);
    }
}
