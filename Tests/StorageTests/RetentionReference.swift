@testable import Storage

/// What is stored and was used, for a plan: a generated cache, and the plan as plain loops make it.
struct GeneratedCache {
    struct Blob {
        let number: Int
        let size: Int
        let account: Int
        let created: Int
        let lastReferenced: Int
        let isWithdrawn: Bool
        let leftBy: String?
    }

    struct Entry {
        let id: Int
        let key: String
        let blob: Int
        let account: Int
        let signer: Int?
        let created: Int
        /// `a` or `b` for a release of two, on one of two platforms.
        let release: String?
        let platform: String?
        let expires: Int?
        let isWithdrawn: Bool
    }

    /// Each on a day, which begins at `day`; with a seed that is 0 for nothing.
    struct Use {
        let name: Int
        let day: Int
    }

    let now: Int
    private(set) var blobs: [Int: Blob] = [:]
    private(set) var entries: [Entry] = []
    private(set) var downloads: [Use] = []
    private(set) var lookups: [(key: String, day: Int)] = []
    private(set) var blobQuestions: [Use] = []
    private(set) var keyQuestions: [(key: String, day: Int)] = []
    var pinnedEntries: Set<Int> = []
    var pinnedKeys: Set<String> = []
    var pinnedBlobs: Set<Int> = []
    var pinnedReleases: Set<String> = []

    static let day = 86400
    static let names = ["ann", "bob"]
    static let signerNames = ["farm", "other"]

    init(seed: UInt64, now: Int) {
        var chance = Chance(seed)
        self.now = now
        let day = Self.day
        for number in 1...120 {
            let created = now - chance.below(400 * day) - 1
            blobs[number] = Blob(
                number: number, size: chance.below(6) == 0 ? 0 : chance.below(1000), account: chance.below(2),
                created: created, lastReferenced: min(now, created + chance.below(60 * day)),
                isWithdrawn: chance.below(15) == 0,
                leftBy: chance.below(4) == 0 ? "policy-\(chance.below(5))" : nil)
            if chance.below(3) == 0 { downloads.append(Use(name: number, day: today - chance.below(380) * day)) }
            if chance.below(9) == 0 { blobQuestions.append(Use(name: number, day: today - chance.below(100) * day)) }
        }
        for id in 1...300 {
            let keys = [
                "file-urlmd5:\(chance.below(40))", "pypi:six=\(chance.below(20))", "other:\(chance.below(20))",
                "slapos-buildout-" + String(repeating: "\(chance.below(9))", count: 32),
                String(repeating: "\(chance.below(9))", count: 32),
            ]
            let key = keys[chance.below(keys.count)]
            // Of a blob that never came, now and then; and a fifth of the blobs has no entry.
            let blob = chance.below(20) == 0 ? 1000 + chance.below(5) : 1 + chance.below(95)
            let release = key.count == 32 && chance.below(4) > 0 ? ["a", "b"][chance.below(2)] : nil
            entries.append(
                Entry(
                    id: id, key: key, blob: blob, account: chance.below(2),
                    signer: chance.below(3) == 0 ? nil : chance.below(2), created: now - chance.below(390 * day) - 1,
                    release: release, platform: chance.below(3) == 0 ? nil : ["x86", "arm"][chance.below(2)],
                    expires: chance.below(3) == 0 ? now + chance.below(200 * day) - 100 * day : nil,
                    isWithdrawn: chance.below(12) == 0))
            if chance.below(8) == 0 { lookups.append((key, today - chance.below(380) * day)) }
            if chance.below(15) == 0 { keyQuestions.append((key, today - chance.below(100) * day)) }
        }
        for _ in 1...4 {
            pinnedEntries.insert(1 + chance.below(300))
            pinnedBlobs.insert(1 + chance.below(120))
        }
        pinnedKeys = ["file-urlmd5:3", "pypi:six=5"]
        pinnedReleases = ["a"]
    }

    var today: Int { now - now % Self.day }
}

/// The same numbers for the same seed (splitmix64).
struct Chance {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func below(_ bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
    }
}

/// Bit for bit what `CollectionPlan` promises, without its database.
extension GeneratedCache {
    /// - Parameter begin: since when downloads are counted.
    /// - Parameter blobOrder: of the digests, which decide between blobs that were last used at the same time.
    func plan(_ policies: [RetentionPolicy], begin: Int, blobOrder: [Int: Int]) -> (
        entries: [Int: String], blobs: [Int: String]
    ) {
        var going: [Int: String] = [:]
        for (number, policy) in policies.enumerated() {
            guard case .entries = policy.subject else { continue }
            let own = entries.filter { entry in
                !entry.isWithdrawn && policies.firstIndex { matches(entry, $0) } == number
            }
            var candidates = own.filter { !isHeld($0, policy, among: own, begin: begin) }
            if let bytes = policy.keeps.bytes { candidates = beyond(bytes, candidates, own, blobOrder) }
            for entry in candidates where !isPinned(entry) { going[entry.id] = policy.name }
        }
        var goingBlobs: [Int: String] = [:]
        for blob in blobs.values where !blob.isWithdrawn && !entries.contains(where: { $0.blob == blob.number }) {
            guard !pinnedBlobs.contains(blob.number), let policy = decider(of: blob, policies, begin) else { continue }
            goingBlobs[blob.number] = policy.name
        }
        return (going, goingBlobs)
    }

    private func decider(of blob: Blob, _ policies: [RetentionPolicy], _ begin: Int) -> RetentionPolicy? {
        let isUnused = { (policy: RetentionPolicy) in
            policy.keeps.sinceUse.map { !isUsed(lastUse(of: blob.number) ?? 0, within: $0, begin) } ?? true
        }
        if let left = policies.first(where: { $0.name == blob.leftBy }), isUnused(left) { return left }
        guard
            let policy = policies.first(where: {
                guard case .unnamedBlobs(let account) = $0.subject else { return false }
                return account.map { $0 == Self.names[blob.account] } ?? true
            })
        else { return nil }
        let isOld = policy.keeps.sinceUpload.map { blob.lastReferenced < now - $0.seconds } ?? true
        return isOld && isUnused(policy) ? policy : nil
    }

    private func matches(_ entry: Entry, _ policy: RetentionPolicy) -> Bool {
        guard case .entries(let filter) = policy.subject else { return false }
        let isOfKind =
            switch filter.kind {
            case nil: true
            case .download: entry.key.hasPrefix("file-urlmd5:") || entry.key.hasPrefix("slapos-buildout-")
            case .pypi: entry.key.hasPrefix("pypi:")
            case .binary: entry.key.count == 32 && entry.release != nil
            }
        return isOfKind && (filter.keyPrefix.map { entry.key.hasPrefix($0) } ?? true)
            && (filter.account.map { $0 == Self.names[entry.account] } ?? true)
            && (filter.signer.map { name in entry.signer.map { Self.signerNames[$0] == name } ?? false } ?? true)
            && (!filter.isExpired || entry.expires.map { $0 < now } ?? false)
    }

    private func isPinned(_ entry: Entry) -> Bool {
        pinnedEntries.contains(entry.id) || pinnedKeys.contains(entry.key)
            || (entry.release.map { pinnedReleases.contains($0) } ?? false)
    }

    private func isHeld(_ entry: Entry, _ policy: RetentionPolicy, among own: [Entry], begin: Int) -> Bool {
        let keeps = policy.keeps
        if let period = keeps.sinceUpload, entry.created >= now - period.seconds { return true }
        if let period = keeps.sinceUse, isUsed(lastUse(of: entry), within: period, begin) { return true }
        guard let newest = keeps.newest else { return false }
        let newer = { (other: Entry) in (other.created, other.id) > (entry.created, entry.id) }
        switch newest.group {
        case .key: return own.count { $0.key == entry.key && newer($0) } < newest.count
        case .softwareRelease:
            guard let release = entry.release else { return true }
            return own.count { $0.release == release && $0.platform == entry.platform && newer($0) } < newest.count
        }
    }

    private func isUsed(_ at: Int, within period: RetentionPeriod, _ begin: Int) -> Bool {
        max(at, begin) >= now - period.seconds
    }

    private func lastUse(of entry: Entry) -> Int {
        let looked = lookups.filter { $0.key == entry.key }.map { dayEnd($0.day) }.max()
        let asked = keyQuestions.filter { $0.key == entry.key }.map { $0.day + Self.day }.max()
        return [entry.created, lastUse(of: entry.blob), looked, asked].compactMap { $0 }.max()!
    }

    private func lastUse(of blob: Int) -> Int? {
        let known = blobs[blob]
        let downloaded = downloads.filter { $0.name == blob }.map { dayEnd($0.day) }.max()
        let asked = blobQuestions.filter { $0.name == blob }.map { $0.day + Self.day }.max()
        return [known?.created, known?.lastReferenced, downloaded, asked].compactMap { $0 }.max()
    }

    /// The first of a month, but of this and the last, may stand for the whole month.
    private func dayEnd(_ day: Int) -> Int {
        let date = civil(day / Self.day)
        let this = civil(now / Self.day)
        guard date.day == 1, date.year * 12 + date.month < this.year * 12 + this.month - 1 else {
            return day + Self.day
        }
        var end = day
        repeat { end += Self.day } while civil(end / Self.day).month == date.month
        return end
    }

    /// Of a number of days since 1970 (Howard Hinnant's civil_from_days).
    private func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let civilMonth = month < 10 ? month + 3 : month - 9
        return (
            yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0), civilMonth, dayOfYear - (153 * month + 2) / 5 + 1
        )
    }

    private func beyond(_ bytes: Int, _ candidates: [Entry], _ own: [Entry], _ order: [Int: Int]) -> [Entry] {
        let size = { (blob: Int) in blobs[blob].flatMap { $0.isWithdrawn ? nil : $0.size } ?? 0 }
        var excess = Set(own.map(\.blob)).map(size).reduce(0, +) - bytes
        let free = candidates.filter { !isPinned($0) }
        let held = Set(own.filter { entry in !free.contains { $0.id == entry.id } }.map(\.blob))
        var lastUses: [Int: Int] = [:]
        for entry in free
        where !held.contains(entry.blob) && size(entry.blob) >= 0 && blobs[entry.blob]?.isWithdrawn == false {
            lastUses[entry.blob] = max(lastUses[entry.blob] ?? 0, lastUse(of: entry))
        }
        var chosen: Set<Int> = []
        for (blob, _) in lastUses.sorted(by: { ($0.value, order[$0.key]!) < ($1.value, order[$1.key]!) })
        where excess > 0 {
            if size(blob) > 0 { chosen.insert(blob) }
            excess -= size(blob)
        }
        return free.filter { chosen.contains($0.blob) }
    }
}
