import Postgres
import ShaCache

extension StoreCheck {
    func check(_ item: StoredItem) throws {
        switch item.kind {
        case .referenced, .unreferenced: try checkBlob(item)
        case .withdrawn: if try !item.isMisplaced || isFaultless(item) { try checkBytes(of: item) }
        case .exposed, .damaged, .dangling: _ = try isFaultless(item)
        case .arriving: try checkWithoutRow(item, as: .arriving)
        case .orphan: try checkWithoutRow(item, as: .orphan)
        case .temporary: try checkTemporary(item)
        case .unknown: try add(.unknown, item.name, bytes: item.file.bytes) { false }
        // The row of what is in quarantine is dangling; trash is looked at by itself.
        case .directory, .quarantined, .trash, .journal: return
        }
    }

    /// Looks at a blob again, behind its lock.
    private func isFaultless(_ item: StoredItem) throws -> Bool {
        guard let digest = item.digest, let fault = try blobs.fault(of: digest) else { return true }
        let bytes = item.file.bytes
        switch fault {
        case .dangling(let bytes):
            try add(.dangling, digest.description, bytes: bytes, detail: entries(naming: digest)) { false }
        case .size(let size, let stored):
            try add(.damaged, item.name, bytes: size, detail: LocalBlobs.damage(size: size, stored: stored)) { false }
        case .exposed: try add(.exposed, item.name, bytes: bytes) { try isMended(digest, by: blobs.hideFile) }
        case .trashed(let bytes):
            try add(.trashed, digest.description, bytes: bytes, detail: entries(naming: digest)) {
                try isMended(digest, by: blobs.restoreTrashed)
            }
        case .hidden: try add(.hidden, item.name, bytes: bytes) { try isMended(digest, by: blobs.restoreFile) }
        }
        return false
    }

    /// A worker may have been first.
    private func isMended(_ digest: Digest, by repair: (Digest) throws -> Bool) throws -> Bool {
        _ = try repair(digest)
        return try blobs.fault(of: digest) == nil
    }

    func entries(naming digest: Digest) throws -> String {
        let (keys, entries) = try blobs.naming(digest, first: 3)
        guard entries > 0 else { return "no entry names it" }
        let more = entries > keys.count ? " and \(entries - keys.count) more" : ""
        return "entries name it under \(keys.joined(separator: ", "))\(more)"
    }

    /// Of one that lies where readers look, with the right size.
    private func checkBlob(_ item: StoredItem) throws {
        guard let digest = item.digest else { return }
        if !owner.mayRead(item.file) {
            let file = item.file
            let whose = "belongs to the user \(file.owner), with the mode \(String(file.mode & 0o777, radix: 8))"
            try add(.unreadable, item.name, bytes: file.bytes, detail: whose) {
                try files.repairFile(at: files.path(digest), owner)
                return true
            }
        }
        switch try files.presence(of: digest) {
        case .intact: break
        // Withdrawn meanwhile.
        case .absent: return
        case .damaged(let damage): return try addDamaged(item, damage)
        case .unconfirmed(let size):
            guard storesSizes else { break }
            return try checkUnconfirmed(item, digest, size)
        }
        try checkBytes(of: item)
    }

    private func checkUnconfirmed(_ item: StoredItem, _ digest: Digest, _ size: Int) throws {
        let damage =
            repairer == nil
            ? isHashing ? findDamage(of: digest, at: item.place) : nil
            : damageFound { () throws(StoreError) in
                try files.confirmSize(of: digest, size: size, stored: size) { pace.spend($0) }
            }
        // Withdrawn meanwhile.
        guard files.isVisible(digest) else { return }
        if let damage { return try addDamaged(item, damage) }
        try add(.unconfirmed, item.name, bytes: size) { try files.presence(of: digest) == .intact }
    }

    /// Also of files without a row: they are served.
    private func checkBytes(of item: StoredItem) throws {
        guard isHashing, let digest = item.digest, let damage = findDamage(of: digest, at: item.place)
        else { return }
        try addDamaged(item, damage)
    }

    private func addDamaged(_ item: StoredItem, _ damage: String) throws {
        try add(.damaged, item.name, bytes: item.file.bytes, detail: damage) { false }
    }

    /// Hashes a file; a damaged one again, since an upload may have healed it meanwhile.
    ///
    /// - Returns: nil when nothing is wrong with it, or it isn't there any more.
    func findDamage(of digest: Digest, at place: StoredItem.Place) -> String? {
        guard let path = files.path(at: place) else { return nil }
        let isDamaged = { () throws(StoreError) in
            try self.files.verifiedPresence(of: digest, at: path) { self.pace.spend($0) }
        }
        return damageFound(by: isDamaged) == nil ? nil : damageFound(by: isDamaged)
    }

    private func damageFound(by judge: () throws(StoreError) -> LocalBlobs.Presence) -> String? {
        do {
            if case .damaged(let damage) = try judge() { return damage }
            return nil
        } catch {
            return "can't be read: \(error)"
        }
    }

    private func checkWithoutRow(_ item: StoredItem, as kind: CheckKind) throws {
        guard let digest = item.digest else { return }
        // Its upload may have ended, a withdrawal have moved it, or a collection be about to.
        if try blobs.state(of: digest) == .absent, try !blobs.isRemoved(digest), files.fileStatus(at: item.place) != nil
        {
            try add(kind, item.name, bytes: item.file.bytes) { false }
        }
        try checkBytes(of: item)
    }

    /// A body that may still be received or stored is none of its business.
    private func checkTemporary(_ item: StoredItem) throws {
        guard item.name != LocalBlobs.restoreMark else {
            return try add(.restoring, item.name) { false }
        }
        guard LocalBlobs.isOld(modified: item.file.modified), files.fileStatus(at: item.place) != nil else { return }
        try add(.leftover, item.name, bytes: item.file.bytes) {
            try files.sweep(item.name) || files.fileStatus(at: item.place) == nil
        }
    }
}
