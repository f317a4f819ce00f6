import Client
import ShaCache

/// What an upload of several files came to.
struct UploadSummary {
    struct Done {
        let stored: Uploader.Stored
        var key: Key?
        var indexed: Uploader.Indexed?
    }

    typealias UploadOutcome = Result<Done, any Error>

    let names: [String]
    let outcomes: [UploadOutcome]
    let terminal: Terminal

    /// One line for each file, as soon as it is through.
    static func say(_ name: String, _ outcome: UploadOutcome, on terminal: Terminal) {
        switch outcome {
        case .failure(let error): terminal.error("\(error)".naming(name), hint: (error as? any HasHint)?.hint)
        case .success(let done):
            let blob = done.stored.wasThere ? "was there" : "sent"
            let entry = done.key.map { key in
                let verb = done.indexed == .wasThere ? "was listed" : "listed"
                return ", \(verb) under \(key.text)"
            }
            terminal.result("\(name): \(blob), \(sizeText(done.stored.size))\(entry ?? "")")
        }
    }

    /// - Throws: `ExitError` when one failed.
    func report(asJSON: Bool) throws {
        if asJSON {
            try terminal.output(JSON.array(zip(names, outcomes).map(Self.json)))
        } else {
            // As sha512sum prints them; of one alone everybody knows which it is.
            for case (let name, .success(let done)) in zip(names, outcomes) {
                let digest = done.stored.digest.description
                try terminal.output(names.count > 1 ? "\(digest)  \(name)" : digest)
            }
        }
        let statuses = outcomes.map { outcome in
            switch outcome {
            case .success: ExitStatus.done
            case .failure(let error): ExitStatus(error)
            }
        }
        if names.count > 1 {
            let failed = statuses.count { $0 != .done }
            terminal.result("\(names.count - failed) of \(names.count) are in the cache")
        }
        guard ExitStatus(statuses) == .done else { throw ExitError(status: ExitStatus(statuses)) }
    }

    private static func json(_ name: String, _ outcome: UploadOutcome) -> JSON {
        switch outcome {
        case .failure(let error): .object(["source": JSON(shown: name), "error": JSON(shown: "\(error)")])
        case .success(let done):
            .object([
                "source": JSON(shown: name), "sha512": JSON(done.stored.digest.description),
                "size": .number("\(done.stored.size)"), "blob": JSON(done.stored.wasThere ? "was there" : "sent"),
                "key": done.key.map { JSON($0.text) } ?? .null,
                "entry": done.indexed.map { JSON($0 == .added ? "added" : "was there") } ?? .null,
            ])
        }
    }
}
