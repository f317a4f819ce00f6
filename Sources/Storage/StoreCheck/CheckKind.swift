/// What a check looks for, in the order in which an operator should look at it.
public enum CheckKind: String, CaseIterable, Sendable {
    /// An acknowledged blob without a file.
    case dangling
    /// A blob whose file can't be served: its size is not what was stored, or its bytes are not what its name says.
    case damaged
    /// A withdrawn blob whose file lies where readers look.
    case exposed
    /// A blob whose file lies among the withdrawn ones, though it isn't withdrawn.
    case hidden
    /// A blob whose file lies in trash, though its row is there.
    case trashed
    /// A blob's file that the store's owner may not read.
    case unreadable
    /// A blob's file that doesn't know the size with which it was stored.
    case unconfirmed
    /// One that uploads or withdrawals need, and that is missing or not the store's.
    case directory
    /// A restore was begun, and isn't through.
    case restoring
    /// The body of an upload that was aborted.
    case leftover
    /// What an account has stored, as uploads added it up.
    case accountUsage = "account-usage"
    /// How many entries a key has, as uploads added it up.
    case keyCount = "key-count"
    /// Which entries have no blob, as uploads wrote it down.
    case entryBeforeBlob = "entry-before-blob"
    /// The sums of the uploads of a day that is over.
    case uploadDay = "upload-day"
    /// The sums of downloads.
    case downloadMonth = "download-month"
    /// A blob that its entry calls an archive, and that nodes can't unpack.
    case archive
    /// A blob that a collection removed, and that can't be restored.
    case trashLost = "trash-lost"
    /// A file in trash without a row.
    case trashOrphan = "trash-orphan"
    /// A file without a row, of an upload that was never acknowledged.
    case orphan
    /// The same, so young that its upload may still be running.
    case arriving
    /// A file that the store did not make.
    case unknown
}

extension CheckKind {
    /// Whether the cache is in order all the same: it is listed, and no reason to fail.
    public var isHarmless: Bool {
        [.downloadMonth, .archive, .trashLost, .trashOrphan, .orphan, .arriving, .unknown].contains(self)
    }

    /// Whether a repair puts it right: it does nothing by which something could be lost.
    public var isRepairable: Bool {
        ![.dangling, .damaged, .restoring].contains(self) && !isHarmless
    }

    /// How it is mended, for people.
    public var mend: String {
        switch self {
        case .dangling: "upload it again, or bring it back by scrub --from"
        // What nobody has found yet is there for clients, who then don't upload it.
        case .damaged: "scrub --within 1 hides it; then upload it again, or bring it back by scrub --from"
        case .exposed: "--repair hides it, as workers do every hour"
        case .hidden: "--repair shows it, as workers do every hour"
        case .trashed: "--repair brings it back, as a collection does"
        case .unreadable: "--repair gives it to the store's owner"
        case .unconfirmed: "--repair hashes it and writes down its size, as its next download does"
        case .directory: "--repair makes it, and gives it to the store's owner"
        case .restoring: "run that restore again: it goes on where it was"
        case .leftover: "--repair removes it, as workers do every hour"
        case .accountUsage, .keyCount, .uploadDay: "--repair counts anew"
        case .entryBeforeBlob: "--repair corrects the list"
        case .downloadMonth: "none: only the report downloads is wrong, for this month"
        case .archive: "publish it again: report unreadable-archives has the reason"
        case .trashLost: "none: collect apply forgets it in its time; if an entry names it, upload it again"
        case .trashOrphan: "none needed: collect apply removes it in its time, unless an entry names it"
        case .orphan: "none needed: its next upload makes a blob of it"
        case .arriving: "none needed: its upload may be running"
        case .unknown: "find out what put it there"
        }
    }
}
