package console

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/limit"
)

const (
	// cookieName is the cookie that holds the token. The token is the whole session, so
	// every node knows it.
	cookieName = "moim_console"
	// maxToken is the size of a cookie that all browsers accept, in bytes.
	maxToken = 3800
	// developmentTTL is how long a session of development mode lasts.
	developmentTTL = 12 * time.Hour
	// developer is the user of development mode.
	developer = "developer"
)

// The paths end directly below the console. So the cookie's default path is the console,
// even behind a proxy that removes a prefix.
const signInPath, signOutPath = "sign-in", "sign-out"

// signInPage is the data of the sign-in page.
type signInPage struct {
	Developing bool
	Problem    string
}

func (c *Console) showSignIn(g *gin.Context) {
	c.render(g, http.StatusOK, c.signInView(), visit{}, signInPage{Developing: c.developing(g.Request)})
}

func (c *Console) signInView() *view {
	return &view{path: signInPath, title: "Sign in", file: "signin.html"}
}

// signIn checks a token, and stores it in the cookie.
func (c *Console) signIn(g *gin.Context) {
	token, err := c.offered(g)
	var id auth.Identity
	if err == nil {
		id, err = c.deps.Verify(g.Request.Context(), token)
	}
	if err == nil {
		_, err = id.Console()
	}
	if err != nil {
		problem := c.problem(g, err)
		c.render(g, problem.Status, c.signInView(), visit{}, signInPage{Developing: c.developing(g.Request), Problem: problem.Message})
		return
	}
	c.setCookie(g, token, int(time.Until(id.Expires).Seconds()))
	redirect(g, "./")
}

// offered returns the token in the form, or a token of development mode.
func (c *Console) offered(g *gin.Context) (string, error) {
	if g.Request.PostForm.Has("development") {
		if !c.developing(g.Request) {
			return "", fault.ErrForbidden.WithMessage("this node is not in development mode, or you do not reach it as localhost: sign in with the token of a back end")
		}
		return c.deps.Mint(auth.Identity{UserID: developer, Name: "Developer", Admin: true, Expires: time.Now().Add(developmentTTL)})
	}
	token := strings.TrimPrefix(strings.TrimSpace(g.Request.PostForm.Get("token")), "Bearer ")
	if len(token) > maxToken {
		return "", fault.ErrBadRequest.WithMessage(fmt.Sprintf("the token has %d bytes, and browsers keep %d: sign one with fewer claims", len(token), maxToken))
	}
	return token, nil
}

// signOut ends the session in this browser. The token stays valid.
func (c *Console) signOut(g *gin.Context) {
	if cookie, err := g.Request.Cookie(cookieName); err == nil {
		c.streams.end(cookie.Value)
	}
	c.setCookie(g, "", -1)
	redirect(g, signInPath+"?done=signed-out")
}

func (c *Console) setCookie(g *gin.Context, token string, maxAge int) {
	http.SetCookie(g.Writer, &http.Cookie{
		Name: cookieName, Value: token, MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: c.deps.Proxies.Secure(g.Request),
	})
}

// visit is a request of a signed-in user.
type visit struct {
	caller auth.Identity // the identity for calls of the service
	token  string
	g      *gin.Context

	failed *failure // the form that was refused, if any
	once   any      // shown once by the form that was sent, if any
}

// query returns a query parameter of the page.
func (v visit) query(name string) string { return strings.TrimSpace(v.g.Query(name)) }

// enter returns the visit for a request. Without a valid token, it answers the request and
// returns false.
func (c *Console) enter(g *gin.Context) (v visit, ok bool) {
	cookie, err := g.Request.Cookie(cookieName)
	if err != nil {
		redirect(g, rootOf(g)+signInPath)
		return visit{}, false
	}
	v = visit{token: cookie.Value, g: g}
	v.caller, err = c.identify(g, v.token)
	switch {
	case err == nil:
		return v, true
	case fault.From(err).Kind == fault.Unauthenticated:
		redirect(g, rootOf(g)+signInPath+"?done=ended")
	default:
		c.fail(g, visit{}, err)
	}
	return visit{}, false
}

// identify returns the identity for a token.
func (c *Console) identify(g *gin.Context, token string) (auth.Identity, error) {
	ctx := g.Request.Context()
	id, err := c.deps.Verify(ctx, token)
	if err != nil {
		return auth.Identity{}, err
	}
	if id, err = id.Console(); err == nil {
		limit.Settle(ctx, id.UserID, true)
	}
	return id, err
}
