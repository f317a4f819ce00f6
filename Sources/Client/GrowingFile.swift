import Glibc
import ShaCache
import System

/// A file that one thread writes while others read behind it, each at its own pace: bytes are hashed and sent while
/// the next ones are still being fetched or compressed. Bytes never change once they are written.
final class GrowingFile: Sendable {
    private struct Growth {
        /// In bytes.
        var size = 0
        var end: Result<Void, any Error>?
    }

    private let file: SharedFile
    /// Of a file that was there already, when it was opened.
    let stamp: FileStamp?
    private let state: Monitor<Growth>

    /// An empty one, which `append` fills.
    init(empty file: SharedFile) {
        self.file = file
        stamp = nil
        state = Monitor(Growth())
    }

    /// One that is whole already.
    ///
    /// - Parameter stamp: what it must still be when it was read.
    init(whole file: SharedFile, stamp: FileStamp) {
        self.file = file
        self.stamp = stamp
        state = Monitor(Growth(size: stamp.size, end: .success(())))
    }

    /// A regular file that has as many bytes to read as its size; nil for one that hasn't, as in procfs.
    convenience init?(regular file: SharedFile) throws {
        let stamp = try FileStamp(file.descriptor)
        guard try file.descriptor.isRegular, try file.descriptor.hasSize(of: stamp) else { return nil }
        self.init(whole: file, stamp: stamp)
    }

    /// - Throws: `FileChanged` when the file that was there became another one, which others have read in part.
    func checkUnchanged() throws { try stamp?.check(file.descriptor) }

    /// Called by the one thread that writes.
    func append(_ bytes: UnsafeRawBufferPointer) throws {
        // Readers may have cancelled it.
        let size = try state.wait { state in
            try state.end?.get()
            return state.size
        }
        try file.descriptor.writeAll(bytes, at: size)
        state.change { $0.size += bytes.count }
    }

    /// No more bytes come; after a failure readers get that failure.
    func finish(_ result: Result<Void, any Error> = .success(())) { state.change { $0.end = $0.end ?? result } }

    /// Cancels it: writing and reading end with this error, on all threads.
    func giveUp(_ error: any Error) { state.change { $0.end = .failure(error) } }

    /// In bytes; nil while the file still grows.
    var finalSize: Int? { state.wait { .some($0.end == nil ? nil : $0.size) } }

    /// Waits until so much is there, in bytes, or all.
    ///
    /// - Returns: whether so much is there.
    func reaches(_ size: Int) throws -> Bool {
        try state.wait { state in
            if case .failure(let error) = state.end { throw error }
            return state.size >= size ? true : state.end == nil ? nil : false
        }
    }

    /// Waits for the end.
    func wholeSize() throws -> Int {
        try state.wait { state in
            try state.end.map { end in
                try end.get()
                return state.size
            }
        }
    }

    /// Reads some bytes from an offset on, and waits for them if it must; 0 at the end.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let available = try state.wait { state -> Int? in
            if case .failure(let error) = state.end { throw error }
            return state.size > offset || state.end != nil ? state.size - offset : nil
        }
        guard available > 0 else { return 0 }
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(available))
        let count = try file.descriptor.read(at: offset, into: room)
        guard count > 0 else { throw FileChanged(file.name, "shrank") }
        return count
    }

    /// Waits for the file's end.
    ///
    /// - Throws: `FileChanged`, `SystemError`, and what the writer failed with.
    func digest() throws -> Digest {
        let digest = try Digest(size: finalSize, readingBy: read)
        try checkUnchanged()
        return digest
    }
}
