import OpenSSL
public import ShaCache
import System

/// Gets blobs out of a cache, and lets no wrong byte through. Belongs to one thread.
public struct Downloader {
    let cache: Cache
    let certificates: TrustedCertificates
    let reporter: Reporter

    public init(_ cache: Cache, trusting certificates: TrustedCertificates, reporter: Reporter) {
        self.cache = cache
        self.certificates = certificates
        self.reporter = reporter
    }

    /// Delivers the blob of the first trusted entry that passes the filters and whose blob can be had.
    ///
    /// - Returns: that entry.
    /// - Throws: `CacheFailure` of the last entry tried, or of the search.
    public func downloadEntry(
        _ key: Key, filters: [MetadataFilter], item: String, to destination: Destination
    ) throws -> Entry {
        let trusted = try trusted(key)
        let passing = filters.apply(to: trusted, reporter: reporter)
        guard !passing.isEmpty else {
            let count = counted(trusted.count, "trusted entry", "trusted entries")
            throw CacheFailure.missing("\(key.text): none of \(count) passes the filters")
        }
        return try first(of: passing) { try downloadBlob($0.sha512, item: item, to: destination) }
    }

    /// The first entry for which `fetch` succeeds.
    func first(of candidates: [Entry], _ fetch: (Entry) throws -> Void) throws -> Entry {
        var tried: Set<Digest> = []
        var failure: CacheFailure?
        for entry in candidates where tried.insert(entry.sha512).inserted {
            do {
                try fetch(entry)
                return entry
            } catch let error as CacheFailure {
                // A cache that can't be reached for one blob can't be for the others, and each try costs a timeout.
                if case .unreachable = error { throw error }
                // A wrong blob is the better explanation than a missing one.
                if case .missing = error, failure != nil {} else { failure = error }
                if candidates.count > tried.count { reporter.warn("\(error); tries the next entry") }
            }
        }
        throw failure!
    }

    /// The trusted entries that pass the filters, which may be none at all.
    public func select(_ key: Key, filters: [MetadataFilter]) throws -> [Entry] {
        let trusted = try listing(key).trusted
        return filters.apply(to: trusted, reporter: reporter)
    }

    /// - Throws: `CacheFailure` when there are none.
    func trusted(_ key: Key) throws -> [Entry] {
        let listing = try listing(key)
        guard listing.trusted.isEmpty else { return listing.trusted }
        guard !listing.entries.isEmpty else { throw CacheFailure.missing("\(key.text): has no entries") }
        throw CacheFailure.untrusted(
            "\(key.text): none of its \(counted(listing.entries.count, "entry", "entries")) is trusted")
    }

    private func listing(_ key: Key) throws -> Listing {
        let listing = try cache.listing(of: key, trusting: certificates)
        for (index, entry) in listing.entries.enumerated() {
            let what = "\(key.text): entry \(index + 1)"
            switch entry {
            case .readable(_, .trusted): continue
            case .readable(let entry, .unsigned):
                reporter.note("\(what) passed over, \(entry.named): it is unsigned")
            case .readable(let entry, .unknownSigner):
                reporter.note("\(what) passed over, \(entry.named): no listed certificate verifies it")
            case .unreadable(let reason): reporter.warn("\(what) can't be read: \(reason)")
            }
        }
        return listing
    }

    /// Delivers a blob, with the bytes that an earlier call may have left.
    public func downloadBlob(_ digest: Digest, item: String, to destination: Destination) throws {
        let place = try PartialDownload(of: digest, for: destination)
        let incoming = try HashingWriter(place.file)
        let isGoingOn = incoming.size > 0
        do {
            try receive(digest, into: incoming, item: item)
            try place.deliver()
        } catch CacheFailure.untrusted(let reason) where isGoingOn {
            try startAgain(reason)
        } catch CacheFailure.refused(let reason, _) where isGoingOn {
            try startAgain(reason)
        } catch CacheFailure.malformed(let reason) where isGoingOn {
            try startAgain(reason)
        } catch {
            // The next call can go on from here, unless the blob is gone or doesn't match its digest.
            if !place.isResumable || incoming.size == 0 || !error.leavesBytesGood { place.discard() }
            throw error
        }

        func startAgain(_ reason: String) throws {
            place.discard()
            reporter.note("\(reason); starts again, without the bytes of an earlier call")
            try downloadBlob(digest, item: item, to: destination)
        }
    }

    /// - Throws: `CacheFailure.untrusted` when the bytes that came don't match the digest.
    func receive(_ digest: Digest, into incoming: HashingWriter, item: String) throws {
        do {
            try cache.get(digest, into: incoming) { size in
                reporter.progress(Progress(item: item, step: .receiving, done: incoming.size, total: size))
            }
        } catch CacheFailure.refused(_, status: 416) {
            // Nothing follows the bytes that an earlier call left: they are all, or too many.
        }
        try incoming.finish(as: digest)
    }
}

extension Entry {
    /// For notes: by the blob that it names.
    var named: String { "SHA-512 \(sha512.description.prefix(16))…" }
}

extension Error {
    /// Whether what came before it may still become the blob.
    fileprivate var leavesBytesGood: Bool {
        switch self as any Error {
        case CacheFailure.unreachable, CacheFailure.troubled, is SystemError, is OverwriteError: true
        default: false
        }
    }
}

/// A blob on its way in: bytes on the disk, hashed as they arrive, under no name of a complete file.
final class HashingWriter {
    private let file: SharedFile
    /// In bytes.
    private(set) var size = 0
    private var hash: Hash? = Hash(.sha512)

    /// Goes on with what an earlier call left in the file.
    init(_ file: SharedFile) throws {
        self.file = file
        file.descriptor.rewind()
        try file.descriptor.forEachPiece { absorb($0) }
    }

    /// - Parameter offset: of the bytes in the blob: after the last ones, or 0 to begin anew.
    func take(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
        if offset == 0, size > 0 { try clear() }
        guard offset == size else {
            throw CacheFailure.malformed("the cache sent bytes from \(offset) on instead of \(size)")
        }
        try file.descriptor.writeAll(bytes, at: offset)
        absorb(bytes)
    }

    func clear() throws {
        try file.descriptor.truncate(to: 0)
        size = 0
        hash = Hash(.sha512)
    }

    /// Nothing can be added after.
    ///
    /// - Throws: `CacheFailure.untrusted` unless the SHA-512 of all bytes is this.
    func finish(as digest: Digest) throws(CacheFailure) {
        let received = Digest(bytes: hash.take()!.finish())
        guard received == digest else {
            throw .untrusted("\(digest): the cache sent other bytes, whose SHA-512 is \(received)")
        }
    }

    private func absorb(_ bytes: UnsafeRawBufferPointer) {
        hash!.update(bytes)
        size += bytes.count
    }
}
