{"alg":"EdDSA","typ":"JWT","kid":"../../etc"}
{"iss":"https://issuer.test/","sub":"app-1@clients","aud":"https://api.test/","iat":1799999940,"exp":1800003600,"azp":"app-1","gty":"client-credentials","scope":"read:messages"}
EdDSA