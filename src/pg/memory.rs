//! Memory contexts that Rust values own.

use pgrx::pg_sys;

/// A memory context that lives as long as this value, whatever transaction made it.
pub struct OwnedContext(pg_sys::MemoryContext);

impl OwnedContext {
    pub fn new(name: &'static std::ffi::CStr) -> Self {
        Self::sized(name, pg_sys::ALLOCSET_SMALL_INITSIZE, pg_sys::ALLOCSET_SMALL_MAXSIZE)
    }

    /// For work that allocates much.
    pub fn roomy(name: &'static std::ffi::CStr) -> Self {
        Self::sized(name, pg_sys::ALLOCSET_DEFAULT_INITSIZE, pg_sys::ALLOCSET_DEFAULT_MAXSIZE)
    }

    fn sized(name: &'static std::ffi::CStr, initial: u32, most: u32) -> Self {
        // SAFETY: TopMemoryContext always exists; the name is a static string, as required.
        let context = unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::TopMemoryContext,
                name.as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                initial as usize,
                most as usize,
            )
        };
        Self(context)
    }

    pub(super) fn raw(&self) -> pg_sys::MemoryContext {
        self.0
    }

    /// Frees everything allocated in this context.
    #[inline]
    pub fn reset(&self) {
        // SAFETY: a live context; its owner has let go of what was in it.
        unsafe {
            if !(*self.0).isReset || !(*self.0).firstchild.is_null() {
                pg_sys::MemoryContextReset(self.0)
            }
        }
    }

    /// Runs `work` with this context as the current one.
    pub fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let _back = Switched::to(self.0);
        work()
    }
}

impl Drop for OwnedContext {
    fn drop(&mut self) {
        // SAFETY: created by `new`, deleted once, and never current outside `within`.
        unsafe { pg_sys::MemoryContextDelete(self.0) }
    }
}

/// Makes a context current until dropped, on the error path too.
struct Switched(pg_sys::MemoryContext);

impl Switched {
    fn to(context: pg_sys::MemoryContext) -> Self {
        // SAFETY: the caller owns a live context.
        unsafe { Self(std::ptr::replace(&raw mut pg_sys::CurrentMemoryContext, context)) }
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        // SAFETY: puts back the context that was current before.
        unsafe { pg_sys::CurrentMemoryContext = self.0 }
    }
}
