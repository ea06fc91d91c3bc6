package group

import "slices"

// RecordedActions returns the actions of all audit entries but those of revoked tokens
// and closed sockets, which are about no group.
func RecordedActions() []string {
	all := []string{auditCreate, auditAcceptInvite, auditRenameUser, auditEraseUser}
	for _, p := range permissions {
		if p.recorded != "" {
			all = append(all, p.recorded)
		}
	}
	return slices.Sorted(slices.Values(all))
}
