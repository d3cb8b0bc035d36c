public import PortcullisCore

/// How a refusal is spoken (`refusal`): a page can read neither status nor body of a handshake that failed, but it can read the close
/// code of a connection that was opened and closed at once.
public enum RefusalStyle: String, CaseIterable, Sendable {
    /// 101 and a close for pages that speak `portcullis.v1`, HTTP for all others.
    case auto
    case http
    /// 101 and a close for everybody.
    case close

    /// Whether a refusal of a well-formed handshake is spoken as 101 and a close. A page of a forbidden origin learns nothing by it, and
    /// an outcome without a close code cannot be.
    public func opensAndCloses(_ outcome: Outcome, _ request: UpgradeRequest, _ origin: OriginPolicy.Verdict) -> Bool {
        guard outcome.row.closeCode != nil, origin != .forbidden else { return false }
        return switch self {
        case .auto: origin == .acceptable && request.offersVersion1
        case .http: false
        case .close: true
        }
    }
}
