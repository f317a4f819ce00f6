public import CLinux
import Glibc

/// A file that is read from the disk itself, past the page cache: what lies there now, and not what was written once.
///
/// Where the file system can't do that, the bytes come through the cache; those that weren't in it before are dropped
/// from it again, so that what is hot stays. Belongs to one thread.
public final class UncachedFile {
    private let descriptor: Descriptor
    /// Whether reads go past the cache.
    public private(set) var isDirect: Bool
    public let status: stat

    /// Of buffers, of their sizes, and of offsets: any disk takes it.
    public static let alignment = 4096

    /// - Parameter flags: as open(2) has them, beside O_DIRECT.
    public init(_ path: String, flags: CInt = 0, named name: String? = nil) throws(SystemError) {
        let opened: Descriptor
        var isDirect = true
        do throws(SystemError) {
            opened = try Descriptor(path, flags: O_RDONLY | flags | o_direct, named: name)
        } catch {
            guard error.code == EINVAL else { throw error }
            opened = try Descriptor(path, flags: O_RDONLY | flags, named: name)
            isDirect = false
        }
        status = try opened.status()
        descriptor = opened
        self.isDirect = isDirect
        if !isDirect { forgoReadahead() }
    }

    /// When it was opened.
    public var size: Int { Int(status.st_size) }

    /// Reads some bytes.
    ///
    /// - Parameters:
    ///   - offset: a multiple of `alignment`, or the end.
    ///   - buffer: aligned, and in size a multiple of it.
    /// - Returns: how many; 0 at the end.
    public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        guard offset < size else { return 0 }
        guard isDirect else { return try readThroughCache(at: offset, into: buffer) }
        do throws(SystemError) {
            return try wholeBlocks(try descriptor.read(at: offset, into: buffer), at: offset)
        } catch {
            // Some file systems let a file be opened so, and not read.
            guard error.code == EINVAL else { throw error }
            try systemCall("read", descriptor.name) { fcntl(descriptor.number, F_SETFL, 0) }
            isDirect = false
            forgoReadahead()
            return try readThroughCache(at: offset, into: buffer)
        }
    }

    /// A read that ends before the file does, as one before a bad sector, goes on where a read can begin.
    private func wholeBlocks(_ count: Int, at offset: Int) throws(SystemError) -> Int {
        guard offset + count < size else { return count }
        let whole = count / Self.alignment * Self.alignment
        guard whole > 0 else { throw SystemError("read", descriptor.name, errno: EIO) }
        return whole
    }

    /// Or what comes next would be in the cache already when it is asked whether it is, and would stay.
    private func forgoReadahead() { posix_fadvise(descriptor.number, 0, 0, POSIX_FADV_RANDOM) }

    private func readThroughCache(
        at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(SystemError) -> Int {
        let wasAbsent = isAbsentFromCache(at: offset, buffer)
        let count = try descriptor.read(at: offset, into: buffer)
        if wasAbsent { posix_fadvise(descriptor.number, off_t(offset), off_t(count), POSIX_FADV_DONTNEED) }
        return try wholeBlocks(count, at: offset)
    }

    /// mincore(2) says nothing to those who may not write to the file.
    private func isAbsentFromCache(at offset: Int, _ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        var piece = iovec(iov_base: buffer.baseAddress, iov_len: 1)
        return preadv2(descriptor.number, &piece, 1, off_t(offset), rwf_nowait) < 0 && errno == EAGAIN
    }
}

/// Makes this thread, and those that it starts from now on, give way to all others at the disk and the processor.
///
/// Where that isn't allowed, it is as before.
public func yieldToOthers() {
    _ = ioprio_set_idle()
    setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 19)
    // Linux shares processors among sessions first, and by nice values only within each (sched_autogroup_enabled). A service
    // is a session of its own; that of a shell, with all that is run in it later, isn't this program's to hold back.
    guard getsid(0) == getpid(), let group = try? Descriptor("/proc/self/autogroup", flags: O_WRONLY) else { return }
    _ = write(group.number, "19", 2)
}
