import ShaCache
import Storage

/// What templates show of entries and blobs.
extension Pages {
    func mayName(_ view: View) -> Bool { site.showsAccounts || view.visitor.isOperator }

    func entryModel(_ entry: EntrySummary, _ view: View) -> Templates.Model {
        var model: Templates.Model = [
            "number": String(entry.id), "href": "\(PageRoute.root)/entry/\(entry.id)",
            "key": entry.key.shown(),
            "hash": entry.sha512.description, "blobHref": "\(PageRoute.root)/blob/\(entry.sha512)",
            "band": ["svg": HashGlyph.svg(entry.sha512.description)],
            "created": Format.time(entry.createdAt, now: view.now),
            "isVerified": entry.signatureResult == "verified", "isUnsigned": entry.signatureResult == "unsigned",
            "isUnknown": entry.signatureResult == "unknown signer", "isHidden": entry.isHidden,
        ]
        let isKeyShown = !entry.key.hasCredentials
        model["keyHref"] = orNone(isKeyShown ? Self.href(ofKey: entry.key) : nil)
        model["json"] = orNone(isKeyShown ? "/shadir/\(percentEncoded(entry.key))" : nil)
        model["signer"] = orNone(entry.signer)
        model["revoked"] = orNone(entry.signerRevokedAt.map { Format.time($0, now: view.now) })
        model["software"] = orNone(entry.softwareURL?.shown())
        model["platform"] = [entry.multiarch, entry.os].compactMap { $0 }.joined(separator: ", ").shown()
        model["hasPlatform"] = entry.multiarch != nil || entry.os != nil
        model["size"] = orNone(entry.blobSize.map(Format.bytes))
        model["isBlobHidden"] = entry.isBlobHidden
        model["account"] = orNone(mayName(view) ? entry.account : nil)
        model["withdrawal"] = orNone(entry.withdrawal.map { withdrawalModel($0, view) })
        return model
    }

    func blobModel(_ blob: BlobSummary, _ view: View) -> Templates.Model {
        var model: Templates.Model = [
            "hash": blob.sha512.description, "blobHref": "\(PageRoute.root)/blob/\(blob.sha512)",
            "download": "/shacache/\(blob.sha512)", "band": ["svg": HashGlyph.svg(blob.sha512.description)],
            "size": Format.bytes(blob.size), "bytes": Format.plural(blob.size, "byte", "bytes"),
            "created": Format.time(blob.createdAt, now: view.now),
            "referenced": Format.time(blob.lastReferencedAt, now: view.now), "isHidden": blob.isHidden,
        ]
        model["account"] = orNone(mayName(view) ? blob.account : nil)
        model["withdrawal"] = orNone(blob.withdrawal.map { withdrawalModel($0, view) })
        return model
    }

    /// One that entries name, and the store doesn't have.
    func absentBlob(_ digest: Digest) -> Templates.Model {
        [
            "hash": digest.description, "blobHref": "\(PageRoute.root)/blob/\(digest)",
            "band": ["svg": HashGlyph.svg(digest.description)], "isAbsent": true,
        ]
    }

    /// Every name gets a value: for a missing one, Mustache looks in the enclosing contexts.
    private func orNone(_ value: Any?) -> Any { value ?? false }

    private func withdrawalModel(_ withdrawal: WithdrawalSummary, _ view: View) -> Templates.Model {
        [
            "at": Format.time(withdrawal.at, now: view.now), "by": withdrawal.by.shown(),
            "reason": withdrawal.reason.shown(),
        ]
    }
}
