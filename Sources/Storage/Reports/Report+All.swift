extension Report {
    private static let days: Set<ReportFilter> = [.since, .until]
    private static let everything = Set(ReportFilter.allCases)

    /// By name.
    public static let all: [Report] = [
        Report(
            "accounts", "Who may upload, who does, how much, and how much of it is refused?",
            obeys: everything, [.until: "in what was uploaded"]),
        Report("downloaded_blobs", "Which blobs are downloaded most?", obeys: everything),
        Report("downloaded_keys", "Which keys are looked up most, and which in vain?", obeys: everything),
        Report(
            "downloads", "How much was downloaded, and how many keys were looked up, on each day (in UTC)?",
            obeys: days, charts: [.sum("requests", of: "downloads", hasKinds: true)]),
        Report(
            "duplicates", "How much did not have to be stored, because we had it already, by day and account?",
            obeys: everything, charts: [.sum("bytes", of: "duplicates")]),
        Report(
            "entries_to_look_into", "Which entries should somebody look into, for something of the last thirty days?",
            obeys: everything, [.since: "in place of the thirty days"],
            charts: [.count(of: "entries_to_look_into", by: "at")]),
        Report(
            "entries_with_credentials", "Which entries publish a URL with a user or a password in it?",
            obeys: everything),
        Report(
            "entries_without_blob",
            "Which entries name a blob that nobody has uploaded (yet), or that was withdrawn?",
            obeys: everything, charts: [.count(of: "entries_without_blob", by: "created_at")]),
        Report(
            "expiring_certificates",
            "Which client certificates expire within sixty days, or did in the last sixty?",
            obeys: [.account], charts: [.count(of: "expiring_certificates", by: "not_after")]),
        Report(
            "growth", "How does the cache grow from day to day (in UTC)?",
            obeys: everything, charts: [.sum("total_bytes", of: "growth")]),
        Report(
            "keys", "Which keys come near the limit of entries that a key may have?",
            obeys: everything,
            [.until: "in its last entry", .account: "who has put one of its entries; all are counted"]),
        Report("largest_blobs", "Which blobs take the most space, and what are they?", obeys: [.account]),
        Report(
            "never_downloaded", "Which blobs has nobody downloaded, whole or in part, since they were uploaded?",
            obeys: everything, [.until: "in the upload"]),
        Report(
            "platforms", "For which platforms does the binary cache hold how many software releases?",
            obeys: everything),
        // Its own rows are of reasons.
        Report(
            "refusals", "Why were uploads not accepted: what was wrong with them (refused) or with us (failed)?",
            obeys: everything, charts: [.sum("refused", of: "uploads"), .sum("failed", of: "uploads")]),
        Report("signers", "Whose signatures do the uploaded entries carry?", obeys: everything),
        Report(
            "survey_findings", "Which files and rows should somebody look at?",
            obeys: days, [.until: "in the survey"]),
        Report("surveys", "How does the disk fill?", obeys: days),
        Report(
            "unreadable_archives", "Which compiled releases can't be unpacked, so that nodes fail with them?",
            obeys: everything),
        Report(
            "upload", "Who tried to upload what, when, and what came of it?",
            obeys: everything, limitation: "of the months that are kept"),
        Report(
            "uploads", "How much was uploaded on each day (in UTC)?",
            obeys: everything, charts: [.sum("accepted", of: "uploads")]),
        Report(
            "usage", "What lies on the disk, as far as the newest survey of each host knows?",
            obeys: days, [.until: "in the survey"]),
        Report(
            "withdrawals", "What was withdrawn, by whom and why, and what of it is shown again?",
            obeys: everything, charts: [.count(of: "withdrawals", by: "at")]),
    ]
}
